"""How many requests of each lane are under way, so that no lane takes the place of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from core.errors import Overloaded
from serve_apps.api.edge.intake import Lane


class Places:
    """Counts what is under way in this process, and refuses what is more than a lane has places."""

    def __init__(self, most: Mapping[Lane, int]) -> None:
        self._most = most
        self.taken: Counter[Lane] = Counter()

    @contextmanager
    def take(self, lane: Lane) -> Iterator[None]:
        """A place until the request ends. Raises Overloaded when there is none."""
        if self.taken[lane] >= self._most[lane]:
            raise Overloaded("too many requests are under way; come back in a moment")
        self.taken[lane] += 1
        try:
            yield
        finally:
            self.taken[lane] -= 1
