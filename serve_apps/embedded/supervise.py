"""Keeps the embedded stack up in the foreground, for systemd or a container to hold on to.

MLflow that has ended is started again while studies are being read. When the Ray head has ended, or the API stays
silent, StackFailed is raised: whoever started this process starts it anew, from the state folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from registry.server import EmbeddedServerError

LOOK_S: Final = 5.0
API_SILENT_S: Final = 120.0
REGISTRY_SILENT_S: Final = 60.0
FIRST_PAUSE_S: Final = 5.0  # between two attempts to start MLflow
LONGEST_PAUSE_S: Final = 60.0

Say = Callable[[str], None]


class StackFailed(RuntimeError):
    """The stack cannot go on as it stands; the text says which part has failed."""


class Registry(Enum):
    """How the MLflow server stands. One whose process lives and does not answer may be busy."""

    ANSWERS = "answers"
    SILENT = "silent"
    GONE = "gone"


class Parts(Protocol):
    """The parts of one stack, as a supervisor sees them. No method takes longer than a few seconds but a start."""

    def head_lives(self) -> bool: ...
    def api_answers(self) -> bool: ...
    def registry(self) -> Registry: ...

    def start_registry(self) -> None:
        """Raises EmbeddedServerError."""


class Silence:
    """For how long something has not answered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answered_at = clock()

    def after(self, answers: bool) -> float:
        """Seconds since the last answer, of which this is the newest."""
        if answers:
            self._answered_at = self._clock()
        return self._clock() - self._answered_at


class Supervisor:
    """Looks at the parts; `say` hears what was found and done."""

    def __init__(self, parts: Parts, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._say = say
        self._clock = clock
        self._api, self._registry = Silence(clock), Silence(clock)
        self._start_at = clock()
        self._pause_s = FIRST_PAUSE_S

    def look(self) -> None:
        """Raises StackFailed."""
        if not self._parts.head_lives():
            raise StackFailed("the Ray head has ended")
        if self._api.after(self._parts.api_answers()) > API_SILENT_S:
            raise StackFailed(f"the API has not answered for {API_SILENT_S:.0f} s")
        self._look_at_registry()

    def _look_at_registry(self) -> None:
        registry = self._parts.registry()
        silent_s = self._registry.after(registry is Registry.ANSWERS)
        if registry is Registry.ANSWERS:
            self._pause_s = FIRST_PAUSE_S
        elif registry is Registry.SILENT and silent_s <= REGISTRY_SILENT_S:
            return
        elif self._clock() >= self._start_at:
            self._start_registry()

    def _start_registry(self) -> None:
        self._say("MLflow has ended, or hangs: starting it again; studies are being read meanwhile")
        try:
            self._parts.start_registry()
        except EmbeddedServerError as error:
            self._say(str(error))
        self._start_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
