"""What a shadow is before, during and after: types of their own, which no report or delivery takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from canary.explain import DecisionRow
from core.study import StudyRef

SAFETY_NET: Final = "safety-net"
SHADOW: Final = "shadow"
RECALL: Final = "recall"  # the champion, since the version that answered was withdrawn
REPLAY: Final = "replay"
GROUND_TRUTH: Final = "ground-truth"
RANK: Final[Mapping[str, int]] = MappingProxyType(  # the net may have to warn; for the last two nobody waits
    {SAFETY_NET: 0, SHADOW: 1, RECALL: 2, REPLAY: 3, GROUND_TRUTH: 4}
)
LIVE: Final = (SAFETY_NET, SHADOW)  # of a study that was answered a moment ago


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """A study that a version is to read for evidence only. `role` is one of RANK.

    `rule` is the series rule that the delivered prediction was made by, so that both read the same series;
    `delivered` is what that prediction says, for the pair, or with an `error` which one the champion failed with.
    `mask` is its segmentation, packed, and kept no longer than the task is pending. `batch` names what asked for it,
    where that was no study of now: a replay, or a run of a ground-truth set.
    """

    model: str
    version: str
    app: str
    variant: str
    role: str
    study: StudyRef
    decision: DecisionRow
    delivered: Mapping[str, Any] = field(repr=False)
    rule: Mapping[str, Any] = field(default_factory=dict)
    mask: bytes | None = field(default=None, repr=False)
    batch: str | None = None

    def __post_init__(self) -> None:
        if self.role not in RANK:
            raise ValueError(f"a task is of one of the roles {', '.join(RANK)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedShadow(ShadowTask):
    """A shadow task in the hands of one worker; `token` fences what it says of it.

    `attempt` counts from 1; `losses` counts the workers that were lost with it. `first_tried_at` is when the first of
    them took it.
    """

    token: str
    attempt: int
    losses: int
    job_id: str
    study_key: str
    created_at: datetime
    first_tried_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """How a shadow ended: with an outcome, or with the code of the error that ended it."""

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
    """One study read twice: what was delivered, and what the shadow says."""

    job_id: str
    study_key: str
    identity: str
    role: str
    delivered: Mapping[str, Any]
    shadow: Mapping[str, Any]
    at: datetime
