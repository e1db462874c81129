"""A study by name: the one value that travels from the request to the reader, the ledger and the shadows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StudyRef:
    """Where a study lies. `series_uids` narrows it; `inputs` are the objects of a study that came one by one.

    Its UIDs are patient data: they stand in no `repr`, log or span.
    """

    source: str
    study_uid: str = field(repr=False)
    series_uids: tuple[str, ...] = field(default=(), repr=False)
    inputs: tuple[str, ...] = field(default=(), repr=False)
