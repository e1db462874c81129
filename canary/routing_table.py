"""Who may read which share of a model's studies: an immutable table, the same in every router.

    bucket   0        c           5000     5000+c      9999
             |=canary=|···champion···|=baseline=|··champion··|

The canary reads [0, c), so a step up adds patients and moves nobody back. [5000, 5000+c) is its concurrent
baseline: champion readings of the same size and time, to compare latencies fairly. An A/B test gives each
arm a region as wide as its weight, of which a share `coverage_bp` is open: a wider one moves nobody between
arms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BASIS_POINTS: Final = 10_000
CHAMPION: Final = "champion"
CANARY: Final = "canary"
BASELINE: Final = "baseline"


class AssignmentKey(StrEnum):
    """What stays together. Patient, unless the site cannot tell patients apart."""

    PATIENT = "patient"
    STUDY = "study"
    ACCESSION = "accession"


@dataclass(frozen=True, slots=True)
class Variant:
    """A model version in a role: `name` is `champion`, `canary`, `shadow-…` or `arm-…`."""

    name: str
    version: str
    digest: str
    app: str


@dataclass(frozen=True, slots=True)
class Segment:
    """The buckets [start, stop) of one arm."""

    arm: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop <= BASIS_POINTS:
            raise ValueError("a segment lies within 0..10000")

    def __contains__(self, bucket: int) -> bool:
        return self.start <= bucket < self.stop


@dataclass(frozen=True, slots=True)
class Slot:
    """A share of a layer. Experiments in disjoint slots of one layer never share a patient, in any model."""

    layer: str
    salt: str
    start: int = 0
    stop: int = BASIS_POINTS

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= BASIS_POINTS:
            raise ValueError("a slot is a range within 0..10000 that is not empty")

    def excludes(self, other: Slot) -> bool:
        """Whether no patient can lie in both."""
        return self._shares_layer(other) and (self.stop <= other.start or other.stop <= self.start)

    def contains(self, other: Slot) -> bool:
        """Whether every patient of the other lies in this one."""
        return self._shares_layer(other) and self.start <= other.start and other.stop <= self.stop

    @property
    def share_bp(self) -> int:
        """The share of all patients that lies in it."""
        return self.stop - self.start

    def _shares_layer(self, other: Slot) -> bool:
        return (self.layer, self.salt) == (other.layer, other.salt)

    def __str__(self) -> str:
        return f"{self.layer} {self.start / 100:g} to {self.stop / 100:g} %"


def are_exclusive(one: Slot | None, other: Slot | None) -> bool:
    """Whether no patient can lie in both slots; without a slot an experiment is open to all."""
    return one is not None and other is not None and one.excludes(other)


@dataclass(frozen=True, slots=True)
class Canary:
    """The candidate of a rollout. `salt` is drawn once per rollout and stays through all its steps."""

    variant: Variant
    weight_bp: int
    salt: str
    slot: Slot | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.weight_bp <= BASIS_POINTS:
            raise ValueError("a weight lies within 0..10000 basis points")
        if not self.salt:
            raise ValueError("a rollout needs a salt of its own")

    @property
    def segments(self) -> tuple[Segment, ...]:
        half = BASIS_POINTS // 2
        start = max(half, self.weight_bp)
        baseline = Segment(BASELINE, start, max(start, min(BASIS_POINTS, half + self.weight_bp)))
        return (Segment(CANARY, 0, self.weight_bp), baseline)

    @property
    def share_bp(self) -> int:
        """The share of all patients that it reads: its weight is one of those in its slot."""
        return self.weight_bp * (self.slot.share_bp if self.slot else BASIS_POINTS) // BASIS_POINTS

    @property
    def variants(self) -> tuple[Variant, ...]:
        return (self.variant,)

    def weight_of(self, arm: str) -> int:
        return self.weight_bp


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an A/B test; `weight_bp` is its share of the test's participants."""

    variant: Variant
    weight_bp: int


@dataclass(frozen=True, slots=True)
class ABTest:
    """Two or more arms of equal rights. Weights are fixed for its life; other weights are another test."""

    arms: tuple[Arm, ...]
    salt: str
    coverage_bp: int = BASIS_POINTS
    slot: Slot | None = None

    def __post_init__(self) -> None:
        if len(self.arms) < 2 or any(arm.weight_bp <= 0 for arm in self.arms):
            raise ValueError("an A/B test has two or more arms with a weight each")
        if sum(arm.weight_bp for arm in self.arms) != BASIS_POINTS:
            raise ValueError("the weights of an A/B test sum to 10000")
        if not self.salt or not 0 <= self.coverage_bp <= BASIS_POINTS:
            raise ValueError("an A/B test needs a salt, and a coverage within 0..10000")

    @property
    def segments(self) -> tuple[Segment, ...]:
        segments: list[Segment] = []
        start = 0
        for arm in self.arms:
            width = arm.weight_bp * self.coverage_bp // BASIS_POINTS
            segments.append(Segment(arm.variant.name, start, start + width))
            start += arm.weight_bp
        return tuple(segments)

    @property
    def variants(self) -> tuple[Variant, ...]:
        return tuple(arm.variant for arm in self.arms)

    def weight_of(self, arm: str) -> int:
        """The share of all studies that the arm reads now; 0 for none of ours."""
        return sum(s.stop - s.start for s in self.segments if s.arm == arm)


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that reads a share of the studies as a shadow, which no caller hears."""

    variant: Variant
    share_bp: int

    def __post_init__(self) -> None:
        if not 0 <= self.share_bp <= BASIS_POINTS:
            raise ValueError("a shadow's share lies within 0..10000 basis points")


@dataclass(frozen=True, slots=True)
class Rule:
    """Send what matches to one variant, before any draw. An empty condition accepts all; one must be set.

    `keys` are pseudonyms of patients or studies that a person pinned.
    """

    name: str
    variant: str
    sites: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.sites or self.modalities or self.scanners or self.keys):
            raise ValueError("a rule without a condition would be a weight of 100 %")


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All that `assign` needs to know of one model. Routers take a table only if its generation is higher."""

    generation: int
    model: str
    champion: Variant
    key: AssignmentKey = AssignmentKey.PATIENT
    canary: Canary | None = None
    ab_test: ABTest | None = None
    shadows: tuple[Shadow, ...] = ()
    rules: tuple[Rule, ...] = ()
    safety_net_bp: int = BASIS_POINTS
    frozen: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.safety_net_bp <= BASIS_POINTS:
            raise ValueError("the safety net's share lies within 0..10000 basis points")
        if len(set(self.names)) != len(self.names):
            raise ValueError("each variant of a table has a name of its own")
        _check_exclusive(self.canary, self.ab_test)
        unknown = {rule.variant for rule in self.rules} - set(self.answering)
        if unknown:
            raise ValueError(f"a rule names a variant that cannot answer: {', '.join(sorted(unknown))}")

    @property
    def experiments(self) -> tuple[Canary | ABTest, ...]:
        return tuple(e for e in (self.canary, self.ab_test) if e is not None)

    @property
    def answering(self) -> dict[str, Variant]:
        """The variants that may answer a caller, by name. Shadows are not among them."""
        return {v.name: v for v in (self.champion, *(v for e in self.experiments for v in e.variants))}

    @property
    def names(self) -> tuple[str, ...]:
        drawn = (v.name for e in self.experiments for v in e.variants)
        return (self.champion.name, *drawn, *(s.variant.name for s in self.shadows))


def _check_exclusive(canary: Canary | None, ab_test: ABTest | None) -> None:
    if canary is None or ab_test is None:
        return
    if not are_exclusive(canary.slot, ab_test.slot):
        raise ValueError("a canary beside an A/B test needs disjoint slots of one layer")
