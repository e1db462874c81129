"""What a silent reading is before, during and after: types of their own, which no report or delivery takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from canary.explain import DecisionRow

SAFETY_NET: Final = "safety-net"
SHADOW: Final = "shadow"
RANK: Final[Mapping[str, int]] = MappingProxyType({SAFETY_NET: 0, SHADOW: 1})  # the net may have to warn


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """A reading that a study owes. `primary` is what was delivered, for the pair; `role` is one of RANK."""

    model: str
    version: str
    app: str
    variant: str
    role: str
    source: str
    study_uid: str = field(repr=False)
    series_uids: tuple[str, ...] = field(repr=False)
    inputs: tuple[str, ...] = field(repr=False)
    decision: DecisionRow
    primary: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        if self.role not in RANK:
            raise ValueError("a silent reader is a shadow or the safety net")


@dataclass(frozen=True, slots=True)
class ClaimedShadow:
    """A reading in the hands of one worker; `token` fences what it says of it. `attempt` counts from 1."""

    token: str
    attempt: int
    job_id: str
    study_key: str
    model: str
    version: str
    app: str
    variant: str
    role: str
    source: str
    study_uid: str = field(repr=False)
    series_uids: tuple[str, ...] = field(repr=False)
    inputs: tuple[str, ...] = field(repr=False)
    decision: DecisionRow
    primary: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """How a silent reading ended: with an outcome, or with the code of the error that ended it."""

    job_id: str
    study_key: str
    identity: str
    model: str
    version: str
    variant: str
    role: str
    outcome: Mapping[str, Any] | None
    error_code: str | None
    latency_ms: float | None
    at: datetime


@dataclass(frozen=True, slots=True)
class PairedResult:
    """One study read twice: what was delivered, and what the silent version says."""

    job_id: str
    study_key: str
    identity: str
    role: str
    delivered: Mapping[str, Any]
    silent: Mapping[str, Any]
    at: datetime
