"""A ground-truth set and its runs as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.replay_records import BatchCounts


@dataclass(frozen=True, slots=True)
class StoredSet:
    """One version of a set. `counts` are the studies with and without each finding; `every_s` is how often the set,
    in its newest version, is run by itself; None: never.
    """

    name: str
    version: int
    at: datetime
    actor: str
    model: str
    digest: str
    studies: int
    counts: Mapping[str, Mapping[str, int]]
    every_s: int | None = None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A version of the model that reads, or has read, a version of a set. `result` is there once all has ended."""

    id: str
    name: str
    set_version: int
    model: str
    version: str
    digest: str
    at: datetime
    actor: str
    studies: int
    result: Mapping[str, Any] | None
    ended_at: datetime | None
    counts: BatchCounts

    @property
    def is_read(self) -> bool:
        """Whether each of its studies has ended, in whatever way."""
        return self.counts.done + sum(self.counts.failed.values()) >= self.studies
