"""Which version reads a study: a pure function of the study's key and the routing table.

A bucket is a keyed hash of (salt, identity), so the answer is the same in every process, replica and restart.
Buckets come straight from the hash: a weight of c basis points is a share of c in ten thousand (a score of
`weight x hash`, as some routers use, is not).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from canary.routing_table import (
    BASELINE,
    BASIS_POINTS,
    CHAMPION,
    ABTest,
    AssignmentKey,
    Canary,
    RoutingTable,
    Rule,
    Segment,
    Slot,
    Variant,
)


class NoSuchVariant(LookupError):
    """A tester asked by name for a variant that may not answer now; no other takes its place."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What routing may know. The keys are pseudonyms; the patient's and accession's may be empty.

    `tester_variant` is set only for a caller who is authorised to choose (header `X-Serinus-Variant`).
    """

    study_key: str
    patient_key: str = ""
    accession_key: str = ""
    site: str = ""
    modality: str = ""
    scanner: str = ""
    tester_variant: str | None = None

    def __post_init__(self) -> None:
        if not self.study_key:
            raise ValueError("a study has a key")


class AssignmentReason(StrEnum):
    """Why a variant was chosen; the first that applies."""

    FROZEN = "frozen"
    TESTER = "tester"
    RULE = "rule"
    DRAW = "draw"  # by the hash, in an experiment that was open to the patient
    DEFAULT = "default"  # no experiment was


@dataclass(frozen=True, slots=True)
class BucketDraw:
    """The hash's part in a decision. `weight_bp`: the canary's weight in force, or that of the drawn arm."""

    salt: str
    bucket: int
    segments: tuple[Segment, ...]
    weight_bp: int
    slot: Slot | None = None

    @property
    def arm(self) -> str:
        """The arm whose segment holds the bucket, else the champion."""
        return next((s.arm for s in self.segments if self.bucket in s), CHAMPION)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who reads the study for its caller, who reads it as a shadow, and why.

    `arm` is the variant's name, or `baseline` for the champion readings that a canary is compared with.
    `safety_net` asks the champion to read too, beside a variant that is not the champion's version. `facts` and
    `table` are what it was made of.
    """

    variant: Variant
    arm: str
    shadows: tuple[Variant, ...]
    safety_net: bool
    assignment_reason: AssignmentReason
    reason: str
    identity: str
    generation: int
    rule: str | None = None
    draw: BucketDraw | None = None
    facts: StudyFacts | None = field(default=None, repr=False)
    table: RoutingTable | None = field(default=None, repr=False)

    @property
    def bucket(self) -> int | None:
        return self.draw.bucket if self.draw else None

    @property
    def weight_bp(self) -> int:
        """The weight in force; 0 when no hash was drawn."""
        return self.draw.weight_bp if self.draw else 0


@dataclass(frozen=True, slots=True)
class _Decision:
    arm: str
    assignment_reason: AssignmentReason
    reason: str
    rule: str | None = None
    draw: BucketDraw | None = None


def assign(facts: StudyFacts, table: RoutingTable) -> Assignment:
    """Decide by the first that applies: freeze, an authorised tester's choice, a rule, the draw, the champion.

    Raises NoSuchVariant if a tester names a variant that may not answer.
    """
    identity = identity_of(facts, table.key)
    choice = next(c for decide in _DECIDERS if (c := decide(facts, table, identity)) is not None)
    variant = table.answering[CHAMPION if choice.arm == BASELINE else choice.arm]
    return Assignment(
        variant=variant,
        arm=choice.arm,
        shadows=() if table.frozen else _shadows(facts, table, variant),
        safety_net=_needs_safety_net(facts, table, variant),
        assignment_reason=choice.assignment_reason,
        reason=choice.reason,
        identity=identity,
        generation=table.generation,
        rule=choice.rule,
        draw=choice.draw,
        facts=facts,
        table=table,
    )


def identity_of(facts: StudyFacts, key: AssignmentKey) -> str:
    """What is hashed: the kind of key and its value; the study where the site's key is missing.

    Without that, all studies that lack a patient would form one giant patient.
    """
    asked = {
        AssignmentKey.PATIENT: facts.patient_key,
        AssignmentKey.STUDY: facts.study_key,
        AssignmentKey.ACCESSION: facts.accession_key,
    }[key]
    return f"{key.value}:{asked}" if asked else f"{AssignmentKey.STUDY.value}:{facts.study_key}"


def bucket_of(salt: str, identity: str) -> int:
    """A bucket in [0, 10000): uniform, stable for ever, and independent between salts."""
    key = blake2b(salt.encode(), digest_size=32).digest()
    digest = blake2b(identity.encode(), key=key, digest_size=8, person=b"serinus.bucket").digest()
    return int.from_bytes(digest, "big") % BASIS_POINTS


def in_slot(slot: Slot | None, identity: str) -> bool:
    """Whether an experiment in this slot of its layer is open to the identity."""
    return slot is None or slot.start <= bucket_of(slot.salt, identity) < slot.stop


def _frozen(facts: StudyFacts, table: RoutingTable, identity: str) -> _Decision | None:
    if not table.frozen:
        return None
    reason = "routing is frozen: every study goes to the champion"
    if facts.tester_variant is not None:
        reason += f", also this one, for which a tester had asked for {facts.tester_variant}"
    return _Decision(CHAMPION, AssignmentReason.FROZEN, reason)


def _tester(facts: StudyFacts, table: RoutingTable, identity: str) -> _Decision | None:
    name = facts.tester_variant
    if name is None:
        return None
    if name not in table.answering:
        raise NoSuchVariant("no variant of that name may answer now")
    return _Decision(name, AssignmentReason.TESTER, f"an authorised tester asked for {name}")


def _ruled(facts: StudyFacts, table: RoutingTable, identity: str) -> _Decision | None:
    rule = next((r for r in table.rules if _matches(r, facts)), None)
    if rule is None:
        return None
    return _Decision(
        rule.variant,
        AssignmentReason.RULE,
        f"rule {rule.name!r} sends such studies to {rule.variant}",
        rule.name,
    )


def _matches(rule: Rule, facts: StudyFacts) -> bool:
    keys = {facts.study_key, facts.patient_key, facts.accession_key} - {""}
    return (
        (not rule.sites or facts.site in rule.sites)
        and (not rule.modalities or facts.modality in rule.modalities)
        and (not rule.scanners or facts.scanner in rule.scanners)
        and (not rule.keys or not keys.isdisjoint(rule.keys))
    )


def _drawn(facts: StudyFacts, table: RoutingTable, identity: str) -> _Decision | None:
    experiment = next((e for e in table.experiments if in_slot(e.slot, identity)), None)
    if experiment is None:
        return None
    draw = draw_in(experiment, identity)
    return _Decision(draw.arm, AssignmentReason.DRAW, draw_reason(draw), draw=draw)


def draw_in(experiment: Canary | ABTest, identity: str) -> BucketDraw:
    """BucketDraw the identity's bucket in the experiment."""
    bucket = bucket_of(experiment.salt, identity)
    draw = BucketDraw(experiment.salt, bucket, experiment.segments, 0, experiment.slot)
    weight = experiment.weight_of(draw.arm)
    return BucketDraw(experiment.salt, bucket, experiment.segments, weight, experiment.slot)


def draw_reason(draw: BucketDraw) -> str:
    """The draw in one sentence."""
    segment = next((s for s in draw.segments if draw.bucket in s), None)
    if segment is None:
        return f"bucket {draw.bucket} lies in no arm's range, so the champion reads"
    reader = "the champion reads, as the baseline" if segment.arm == BASELINE else f"{segment.arm} reads"
    return f"bucket {draw.bucket} lies in [{segment.start}, {segment.stop}), so {reader}"


def _default(facts: StudyFacts, table: RoutingTable, identity: str) -> _Decision:
    return _Decision(CHAMPION, AssignmentReason.DEFAULT, "no experiment is open to it, so the champion reads")


_DECIDERS: Final[tuple[Callable[[StudyFacts, RoutingTable, str], _Decision | None], ...]] = (
    _frozen,
    _tester,
    _ruled,
    _drawn,
    _default,
)


def _shadows(facts: StudyFacts, table: RoutingTable, answering: Variant) -> tuple[Variant, ...]:
    """The shadows that read this study. All draw the same bucket: a smaller share lies within a larger one.

    A version does not shadow itself.
    """
    bucket = shadow_bucket(table.model, facts.study_key)
    return tuple(
        s.variant for s in table.shadows if bucket < s.share_bp and s.variant.version != answering.version
    )


def _needs_safety_net(facts: StudyFacts, table: RoutingTable, answering: Variant) -> bool:
    if answering.version == table.champion.version:
        return False
    return safety_net_bucket(table.model, facts.study_key) < table.safety_net_bp


def shadow_bucket(model: str, study_key: str) -> int:
    """The bucket by which a study is read by shadows, in [0, 10000)."""
    return bucket_of(f"shadow/{model}", study_key)


def safety_net_bucket(model: str, study_key: str) -> int:
    """The bucket by which the champion reads a canary's study too, in [0, 10000)."""
    return bucket_of(f"safety-net/{model}", study_key)
