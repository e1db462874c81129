"""Which studies of the past a version is to read again: the last of each patient, by time alone. Pure.

The choice knows neither a truth nor what any version said: chosen by these, a replay would show whatever is wanted.
Who was read before is left out and not made up for, so that the same request again asks for nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class OfPatient(Protocol):
    """A study, by the pseudonym of its patient."""

    @property
    def patient(self) -> str: ...


Study = TypeVar("Study", bound=OfPatient)


def last_of_patients(studies: Iterable[Study], number: int) -> Iterator[Study]:
    """Of each patient the first study that comes, of so many patients: the newest where they come newest first."""
    seen: set[str] = set()
    for study in studies:
        if study.patient in seen:
            continue
        seen.add(study.patient)
        yield study
        if len(seen) == number:
            return
