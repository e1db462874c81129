"""How many clients listen to the event stream of this process: each holds one of its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Overloaded

MOST_LISTENERS = 50


class Listeners:
    """Counts those who listen now, so that they never keep a study from being accepted."""

    def __init__(self, most: int = MOST_LISTENERS) -> None:
        self._most = most
        self.count = 0

    def require_room(self) -> None:
        """Raise Overloaded when as many listen as may."""
        if self.count >= self._most:
            raise Overloaded("too many clients listen to the event stream; ask by cursor meanwhile")

    @contextmanager
    def one_more(self) -> Iterator[None]:
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
