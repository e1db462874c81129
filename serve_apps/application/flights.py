"""Which studies a process had in work when it died, as a replica asks for it; `adapters.flight_recorder` keeps it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class Flights(Protocol):
    """Which studies a process had in work when it died, by the digest of their input."""

    def deaths(self, key: str) -> int: ...

    def flight(self, key: str) -> AbstractContextManager[None]: ...

    def answered(self, key: str) -> None: ...

    def land(self) -> None: ...


class NoFlights:
    """For a replica of whose death nobody wants to know more."""

    def deaths(self, key: str) -> int:
        return 0

    def flight(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()

    def answered(self, key: str) -> None:
        return

    def land(self) -> None:
        return


NO_FLIGHTS: Final[Flights] = NoFlights()
