"""What is asked of a candidate, what is known so far, and what follows: the types that a rollout goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from canary.evidence.moments import Moments
from canary.evidence.observations import ScorePair
from canary.verdict import Verdict
from core.mixture import Mixture


class MetricKind(StrEnum):
    CANARY_FAILURES = "canary-failures"  # do more errors fall in the canary than its weight explains?
    SHADOW_FAILURES = "shadow-failures"  # which version fails more, on the same studies
    FAILURES_OVER_SLO = "failures-over-slo"  # does the canary fail more often than a fixed rate allows?
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    DICE = "dice"
    MEASUREMENT = "measurement"  # a volume, a diameter: read once, at the planned number
    LATENCY = "latency"
    AUC = "auc"  # read at planned looks only


class Hypothesis(StrEnum):
    """What a metric has to show. Harm is watched in both, where its kind can show it."""

    NO_HARM = "harm"  # a guardrail: it stops a candidate that is worse, and proves nothing of one that is not
    NON_INFERIORITY = "non-inferiority"  # the candidate is not worse by the margin or more


class MetricPhase(StrEnum):
    """A question to the evidence is open, or has ended in one of the four ways of `Verdict`."""

    RUNNING = "Running"
    SUCCESSFUL = Verdict.SUCCESSFUL
    FAILED = Verdict.FAILED
    INCONCLUSIVE = Verdict.INCONCLUSIVE
    ERROR = Verdict.ERROR


NEEDS_CANARY: Final = frozenset({MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO})
OF_TRUTH: Final = frozenset(
    {MetricKind.SENSITIVITY, MetricKind.SPECIFICITY, MetricKind.AUC}
)  # given the truth, they do not hang on how many studies of a set are positive
PLANNED: Final = frozenset({MetricKind.MEASUREMENT, MetricKind.AUC})
_BELOW_ONE: Final = frozenset(MetricKind) - {MetricKind.LATENCY, MetricKind.MEASUREMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric as it was declared before the first study. Raises ValueError for what could never be judged.

    `margin`: the loss that is not accepted any more: a difference of proportions, AUC or Dice, of a measurement in
    its unit (or as a share, where `relative`), of a latency as a share (0.2: 20 % slower). `tolerance`, in the same
    unit: a loss up to it is no harm. `slo`: the highest failure rate that is accepted. `planned_looks`: numbers of
    cases at which a planned metric is read. `concept` is the key of the measurement or the finding that it reads, as
    `value@scheme`. `typical_observations`: where a latency's test is sharpest.
    `futility_limit`: so many observations without a decision are Inconclusive. A guardrail is Successful from
    `min_observations` without harm. `max_strata`: strata beyond it are judged together. `truth_sets`: ground-truth
    sets whose studies count beside those of the flow.
    """

    name: str
    kind: MetricKind
    hypothesis: Hypothesis = Hypothesis.NO_HARM
    margin: float | None = None
    justification: str = ""
    tolerance: float = 0.0
    slo: float | None = None
    relative: bool = False
    alpha_harm: float = 0.01
    alpha_non_inferiority: float = 0.025
    planned_looks: tuple[int, ...] = ()
    typical_observations: int = 100
    futility_limit: int | None = None
    min_observations: int = 60
    strata: tuple[str, ...] = ()
    max_strata: int = 8
    min_per_stratum: int = 30
    strata_fdr: float = 0.10
    dry_run: bool = False  # measured and told, and nothing follows
    critical: bool = False  # fails by its own alpha_harm, which it shares with no other metric
    must_have_data: bool = True  # a guardrail without data holds the promotion
    concept: str | None = None
    truth_sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for refused, why in self._refusals():
            if refused:
                raise ValueError(f"metric {self.name}: {why}")

    def _refusals(self) -> tuple[tuple[bool, str], ...]:
        is_ni = self.hypothesis is Hypothesis.NON_INFERIORITY
        shares = (self.alpha_harm, self.alpha_non_inferiority, self.strata_fdr)
        counts = (self.typical_observations, self.min_observations, self.max_strata, self.min_per_stratum)
        looks = self.planned_looks
        return (
            (not self.name.strip(), "it needs a name"),
            (is_ni and self.kind in NEEDS_CANARY, f"{self.kind} can show harm only"),
            (is_ni and self.margin is None, "non-inferiority needs a margin"),
            (
                self.kind is MetricKind.MEASUREMENT and not is_ni,
                "a measurement is judged by its margin only, so its hypothesis is non-inferiority",
            ),
            (
                self.margin is not None and not self.justification.strip(),
                "its margin needs a justification: why a loss below it is acceptable for patients",
            ),
            (self.margin is not None and self.margin <= 0, "its margin must be above 0"),
            ((self.margin or 0.0) >= 1 and self.kind in _BELOW_ONE, "its margin must be below 1"),
            (not 0 <= self.tolerance < 1, "its tolerance must lie within 0..1"),
            (
                self.margin is not None and self.tolerance >= self.margin,
                "its tolerance must be below its margin",
            ),
            (
                (self.kind is MetricKind.FAILURES_OVER_SLO) != (self.slo is not None),
                "slo goes with failures-over-slo, and only there",
            ),
            (self.slo is not None and not 0 < self.slo < 1, "its slo must lie between 0 and 1"),
            (not all(0 < share < 0.5 for share in shares), "its alphas must lie between 0 and 0.5"),
            (min(counts) < 1, "its numbers of observations and strata must be above 0"),
            (
                self.futility_limit is not None and self.futility_limit < 1,
                "its futility limit must be above 0",
            ),
            (
                (self.kind in PLANNED) != bool(looks),
                "planned looks go with a measurement or an AUC, and only there",
            ),
            (
                list(looks) != sorted({*looks}) or min(looks, default=2) < 2,
                "its planned looks must grow, from 2",
            ),
            (self.kind is MetricKind.MEASUREMENT and len(looks) > 1, "a measurement is read once"),
            (self.kind in PLANNED and bool(self.strata), "a planned metric has no strata"),
            (
                self.concept is not None and self.kind not in PLANNED,
                "a concept goes with a measurement or an AUC, and only there",
            ),
            (
                bool(self.truth_sets) and self.kind not in OF_TRUTH,
                "ground-truth sets go with sensitivity, specificity and auc, and only there",
            ),
            (
                len({*self.truth_sets}) != len(self.truth_sets),
                "each of its ground-truth sets stands there once",
            ),
        )


def unread(spec: MetricSpec) -> str | None:
    """Why a metric reads no study, as it was declared; None where it does."""
    if spec.kind in PLANNED and spec.concept is None:
        return "it does not name by `concept` which measurement or finding it reads"
    if spec.kind is MetricKind.DICE and spec.tolerance == 0.0:
        return "no two versions segment alike, so its tolerance must be above 0"
    return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is kept of the studies of one metric, or of one stratum of it.

    `observed` are canary studies or pairs. `candidate_events` and `champion_events` are failures or wrong answers by
    arm. `expected_bp`: how many of the canary's events chance explains, in 1/10 000. `scores` only of an AUC.
    """

    harm: Mixture
    non_inferiority: Mixture
    observed: int = 0
    candidate_events: int = 0
    champion_events: int = 0
    expected_bp: int = 0
    differences: Moments = field(default_factory=Moments)
    scores: tuple[ScorePair, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricState:
    """The evidence of one metric, in all and by stratum in order of appearance; store it after each update.

    `harm_peak`: the highest log10 of the e-value against "no harm" so far, since it may be reached between two looks.
    """

    overall: Evidence
    strata: tuple[tuple[str, Evidence], ...] = ()
    harm_peak: float = 0.0


@dataclass(frozen=True, slots=True)
class StratumMeasurement:
    """One stratum: Failed where e-BH finds harm, Inconclusive without enough studies, else Successful so far."""

    stratum: str
    phase: MetricPhase
    observed: int
    log10_e_harm: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a metric says now. `reason` is one sentence for a physician.

    The e-values are log10, as they stand now, and None where the metric does not ask that or has none: a planned
    test. No data is neither Successful nor Failed.
    """

    metric: str
    phase: MetricPhase
    reason: str
    log10_e_harm: float | None = None
    log10_e_non_inferiority: float | None = None
    observed: int = 0
    candidate_events: int = 0
    champion_events: int = 0
    strata: tuple[StratumMeasurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all metrics say together: Failed aborts, Successful promotes, Inconclusive pauses, the others wait.

    `metrics` are those that decided. `log10_e_harm` is that of the guardrails' average.
    """

    phase: MetricPhase
    reason: str
    metrics: tuple[str, ...] = ()
    log10_e_harm: float | None = None
