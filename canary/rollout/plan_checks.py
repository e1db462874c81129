"""For which steps no rollout could ever be right: exposure that is not allowed, promotion without evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from canary.evidence.metric import NEEDS_CANARY, MetricSpec
from canary.rollout.step import Analysis, Experiment, SetWeight, Step, metrics_of
from canary.routing_table import BASIS_POINTS


@dataclass(frozen=True, slots=True)
class StepFault:
    """What is wrong with the step of this number, from 0."""

    step: int
    problem: str


def step_faults(
    steps: tuple[Step, ...],
    metrics: tuple[MetricSpec, ...],
    *,
    live_exposure_allowed: bool,
    has_surveillance: bool,
) -> Iterator[StepFault]:
    """Everything for which these steps cannot be a plan."""
    if not steps:
        yield StepFault(0, "a rollout has at least one step")
        return
    if not live_exposure_allowed:
        yield from _of_exposure(steps)
    else:
        yield from _of_weights(steps, metrics)
    yield from _of_evidence(steps, metrics)
    if has_surveillance and not any(isinstance(step, SetWeight) for step in steps):
        yield StepFault(len(steps) - 1, "only what promotes has a surveillance after the promotion")


def _of_exposure(steps: tuple[Step, ...]) -> Iterator[StepFault]:
    for number, step in enumerate(steps):
        if isinstance(step, SetWeight | Experiment):
            yield StepFault(
                number,
                f"{step.kind} gives patients what the candidate says, and regulatory.liveExposureAllowed is false:"
                " only setMirror, analysis and pause are allowed",
            )


def _of_weights(steps: tuple[Step, ...], metrics: tuple[MetricSpec, ...]) -> Iterator[StepFault]:
    """Weights grow up to 100 %, and evidence comes before that."""
    weights = [(number, step.weight_bp) for number, step in enumerate(steps) if isinstance(step, SetWeight)]
    for (_, before), (number, weight_bp) in pairwise(weights):
        if weight_bp <= before:
            yield StepFault(number, "a weight is above the one before it; going back is no step")
    if not weights:
        return
    last, highest = weights[-1]
    if highest != BASIS_POINTS:
        yield StepFault(
            last, "a rollout with weights ends with setWeight: 100, which is followed by promotion"
        )
    elif not any(_decides(step, metrics) for step in steps[:last]):
        yield StepFault(
            last, "no step before it waits for evidence: an analysis, an experiment or pause.until.evidence"
        )


def _decides(step: Step, metrics: tuple[MetricSpec, ...]) -> bool:
    deciding = {metric.name for metric in metrics if not metric.dry_run}
    return bool(deciding & set(metrics_of(step)))


def _of_evidence(steps: tuple[Step, ...], metrics: tuple[MetricSpec, ...]) -> Iterator[StepFault]:
    canary_only = {metric.name for metric in metrics if metric.kind in NEEDS_CANARY and not metric.dry_run}
    weight_bp = 0
    for number, step in enumerate(steps):
        if isinstance(step, SetWeight | Experiment):
            weight_bp = max(weight_bp, step.weight_bp)
        waits_for_evidence = isinstance(step, Analysis | Experiment) or bool(metrics_of(step))
        if waits_for_evidence and not _decides(step, metrics):
            yield StepFault(number, "all of its metrics are dry-run, so nothing would decide it")
        never = sorted(canary_only & set(metrics_of(step))) if weight_bp == 0 else []
        if never:
            yield StepFault(
                number, f"{', '.join(never)} needs studies that a canary answered, and none has yet"
            )
