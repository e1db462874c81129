"""An AnalysisTemplate: the questions that an analysis asks, each with its test and its margin."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec, unread
from serve_apps.rollout_spec.wire_base import Metadata, Wire

Concept = Annotated[
    str,
    Field(
        pattern=r"^[^@\s]+@[^@\s]+$",
        max_length=96,
        description="a code and its scheme, as in 118565006@SCT",
    ),
]

SetName = Annotated[str, Field(min_length=1, max_length=64)]


class MetricWire(Wire):
    """One question to the evidence."""

    name: str
    """Unique among all metrics of the rollout."""
    kind: MetricKind
    """What is measured."""
    hypothesis: Hypothesis = Hypothesis.NO_HARM
    """`harm`: a guardrail. `non-inferiority`: it must be shown that the candidate is not worse by the margin."""
    margin: float | None = None
    """The loss that is not accepted any more. Fixed once the rollout has begun."""
    justification: str = ""
    """Why a loss below the margin is acceptable for patients. Required with a margin."""
    tolerance: float = 0.0
    """A loss up to it is no harm; below the margin. Required for dice, which is never 1."""
    slo: float | None = None
    """For failures-over-slo: the highest failure rate that is accepted."""
    relative: bool = False
    """For a measurement: the margin is a share of the champion's value."""
    alpha_harm: float = 0.01
    """The chance, ever, that a candidate which is no worse is stopped by this metric."""
    alpha_non_inferiority: float = 0.025
    """The chance, ever, that a candidate which is worse by the margin passes."""
    planned_looks: tuple[int, ...] = ()
    """For auc and measurement: the numbers of cases at which it is read."""
    typical_observations: int = 100
    """Where a latency's test is sharpest."""
    futility_limit: int | None = None
    """So many observations without a decision are Inconclusive, which pauses."""
    min_observations: int = 60
    """A guardrail is Successful from so many observations without harm."""
    strata: tuple[str, ...] | None = None
    """Subgroups that are judged on their own. Left out: those of the rollout."""
    max_strata: int = 8
    """Strata beyond it are judged together."""
    min_per_stratum: int = 30
    """Studies that a stratum needs."""
    strata_fdr: float = 0.10
    """The false discovery rate over strata (e-BH)."""
    dry_run: bool = False
    """Measured and told, and nothing follows."""
    critical: bool = False
    """It fails by its own alphaHarm, which it shares with no other metric."""
    must_have_data: bool = True
    """Without data it holds the promotion; else it counts once it has some."""
    concept: Concept | None = None
    """For measurement and auc, and required there: what is measured, or the finding."""
    truth_sets: tuple[SetName, ...] = ()
    """For sensitivity, specificity and auc: ground-truth sets that count, too, each in its newest version."""

    @model_validator(mode="after")
    def can_be_judged(self) -> Self:
        why = unread(self.planned(()))
        if why is not None:
            raise ValueError(f"metric {self.name}: {why}")
        return self

    def planned(self, strata: tuple[str, ...]) -> MetricSpec:
        """The metric of the plan; `strata` are the rollout's. Raises ValueError."""
        fields = self.model_dump(exclude={"planned_looks", "strata", "truth_sets"})
        takes_strata = self.strata is None and not self.planned_looks and strata
        return MetricSpec(
            **fields,
            planned_looks=tuple(self.planned_looks),
            truth_sets=tuple(self.truth_sets),
            strata=strata if takes_strata else tuple(self.strata or ()),
        )


class TemplateSpec(Wire):
    metrics: tuple[MetricWire, ...]
    """The questions, at least one."""

    @model_validator(mode="after")
    def asks_something(self) -> Self:
        if not self.metrics:
            raise ValueError("a template has at least one metric")
        return self


class TemplateWire(Wire):
    """Questions to the evidence, for the steps and the background of a rollout."""

    api_version: Literal["serinus/v1alpha1"]
    kind: Literal["AnalysisTemplate"]
    metadata: Metadata
    spec: TemplateSpec
