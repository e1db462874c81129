"""Studies of new patients flow in, as from an orchestrator: each is stored and read, and its truth is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from serve_apps.cli.client import ApiError


@dataclass(frozen=True, slots=True)
class DemoStudy:
    """A patient's only study: its Part 10 files, and whether the finding is there."""

    study_uid: str
    files: tuple[bytes, ...] = field(repr=False)
    is_positive: bool


@dataclass(frozen=True, slots=True)
class ReadStudy:
    """How a study's job ended: the version that answered, or the code of the error."""

    version: str | None
    error: str | None = None


class DemoSite(Protocol):
    """The stack as an orchestrator sees it. Each raises ApiError for what it refuses."""

    def read(self, study: DemoStudy) -> ReadStudy:
        """Store the study and have it read; returns when its job has ended."""
        ...

    def tell(self, study: DemoStudy) -> None:
        """Tell what was really there."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of the studies so far: answers by version, and everything that was no answer, by its code."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def studies(self) -> int:
        return self.answered.total() + self.failed.total()

    def minus(self, before: Tally) -> Tally:
        return Tally(self.answered - before.answered, self.failed - before.failed)


class Flow:
    """`callers` threads between `with` and its end. Nothing is repeated: each study is read once."""

    def __init__(self, site: DemoSite, studies: Iterator[DemoStudy], callers: int) -> None:
        self._site = site
        self._studies = studies
        self._lock, self._next = threading.Lock(), threading.Lock()
        self._stop = threading.Event()
        self._tally = Tally()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(callers)]

    def __enter__(self) -> Flow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def tally(self) -> Tally:
        """A copy, that stays as it is."""
        with self._lock:
            return Tally(Counter(self._tally.answered), Counter(self._tally.failed))

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._next:  # a generator serves one thread at a time
                study = next(self._studies)
            self._pass(study)

    def _pass(self, study: DemoStudy) -> None:
        outcome = self._counted(lambda: self._site.read(study))
        if outcome is not None:
            self._note(outcome)
            self._counted(lambda: self._site.tell(study))

    def _counted(self, call: Callable[[], ReadStudy | None]) -> ReadStudy | None:
        """What a call gives; a problem is counted by its code."""
        try:
            return call()
        except ApiError as error:
            self._note(ReadStudy(None, error.code))
            return None

    def _note(self, outcome: ReadStudy) -> None:
        with self._lock:
            if outcome.version is not None:
                self._tally.answered[outcome.version] += 1
            else:
                self._tally.failed[outcome.error or "unknown"] += 1
