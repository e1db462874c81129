"""Which traces are kept, decided when a study has ended: what is out of the ordinary whole, of the rest a share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from observability.record import InferenceRecord, Outcome, StudyTrace
from observability.traces.caller import caller_of

CHAMPION: Final = "champion"
OUT_OF_DISTRIBUTION: Final = "out-of-distribution"
POSITIVE: Final = 0.5


class Why(StrEnum):
    """The first of these that holds is told with the trace."""

    FAILED = "failed"
    FALLBACK = "fallback"  # a version that was to answer did not
    OUTLIER = "outlier"  # the input check does not know such a study
    SILENT = "silent"  # a reading that nobody waits for: a shadow, a replay, …
    VARIANT = "variant"  # another version than the champion answered
    SLOW = "slow"
    DISCORDANT = "discordant"  # a silent reading says otherwise
    CALLER = "caller"  # a trusted caller keeps its own part
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Keeping:
    """`share` in [0, 1] of the ordinary studies is kept, and what took longer than `slow_s` of its modality."""

    share: float = 1.0
    slow_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError("a share lies in [0, 1]")


def why_kept(trace: StudyTrace, keeping: Keeping) -> Why | None:
    """Why the trace is kept, by nothing but its record; None for one that is not."""
    limit_s = keeping.slow_s.get(trace.modality)
    caller = caller_of(trace.traceparent)
    if trace.outcome is not Outcome.OK:
        return Why.FAILED
    if any(one.outcome is not Outcome.OK for one in trace.records):
        return Why.FALLBACK
    if any(one.input_check == OUT_OF_DISTRIBUTION for one in trace.records):
        return Why.OUTLIER
    if not trace.is_live:
        return Why.SILENT
    if any(one.variant != CHAMPION for one in trace.records):
        return Why.VARIANT
    if limit_s is not None and trace.end_ns - trace.start_ns > limit_s * 1e9:
        return Why.SLOW
    if caller is not None and caller.is_sampled:
        return Why.CALLER
    return Why.SHARE if is_in_share(trace.study_key, keeping.share) else None


def is_in_share(study_key: str, share: float) -> bool:
    """Whether the study is one of the `share`; by its pseudonym, so that a higher share holds every lower one."""
    digest = blake2b(study_key.encode(), digest_size=8, person=b"sampling").digest()
    return int.from_bytes(digest, "big") < share * 2**64


def is_discordant(one: InferenceRecord | None, other: InferenceRecord | None) -> bool:
    """Whether of two readings one finds what the other does not, at a probability of 0.5."""
    if one is None or other is None:
        return False
    mine, theirs = dict(one.scores), dict(other.scores)
    return any((mine[code] >= POSITIVE) != (theirs[code] >= POSITIVE) for code in mine.keys() & theirs.keys())
