"""Zero-harm answering: the variant that was drawn reads; whatever it does wrong, the champion answers in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from canary.assignment import Assignment
from canary.fallback import Action, Attempt, Failure, FallbackPolicy, after_failure, variant_budget_s
from canary.gates import SitePolicy
from canary.routing_table import Variant
from core.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    OutsideIntendedUse,
    SerinusError,
    StudyError,
)
from core.priority import QueueOrder
from serve_apps.application.intended_use import require_intended_use
from serve_apps.application.messages import FetchedStudy, Inference, ServedVersion
from serve_apps.application.ports import InferencePort
from serve_apps.application.routing_snapshot import RoutingSnapshot

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class VariantFailure:
    """A variant that could not answer; it counts against the variant unless `counts` is false."""

    variant: Variant
    failure: Failure
    code: str
    counts: bool


@dataclass(frozen=True, slots=True)
class InferenceOutcome:
    """The caller's answer, the version that really gave it, and who failed before."""

    inference: Inference
    variant: Variant
    version: ServedVersion
    failures: tuple[VariantFailure, ...]
    reason: str


class FallbackInference:
    """Asks variants in turn, as the fallback policy says, until one answers or the deadline is spent."""

    def __init__(
        self,
        snapshot: RoutingSnapshot,
        port: InferencePort,
        fallback: FallbackPolicy,
        site: SitePolicy,
        clock: Clock = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._port = port
        self._policy = fallback
        self._site = site
        self._clock = clock

    async def predict(
        self, study: FetchedStudy, assignment: Assignment, deadline_s: float, order: QueueOrder
    ) -> InferenceOutcome:
        """Raises the champion's SerinusError when nobody is left to answer."""
        end = self._clock() + deadline_s
        champion = self._snapshot.table(study.model).champion
        variant, number = assignment.variant, 1
        reason = assignment.reason
        failures: list[VariantFailure] = []
        while True:
            budget = self._budget(variant != champion, end)
            try:
                version, inference = await self._ask(variant, study, budget, order)
                return InferenceOutcome(inference, variant, version, tuple(failures), reason)
            except SerinusError as error:
                attempt = Attempt(variant == champion, failure_of(error), number, end - self._clock())
                step = after_failure(attempt, self._policy)
                failures.append(VariantFailure(variant, attempt.failure, error.code, step.counts))
                if step.action is Action.GIVE_UP:
                    raise
                number = number + 1 if step.action is Action.RETRY else 1
                variant = variant if step.action is Action.RETRY else champion
                reason = f"{reason}; {step.reason}"

    def _budget(self, is_candidate: bool, end: float) -> float:
        left = end - self._clock()
        if not is_candidate:
            return left
        return variant_budget_s(left, self._policy) or 0.0

    async def _ask(
        self, variant: Variant, study: FetchedStudy, budget_s: float, order: QueueOrder
    ) -> tuple[ServedVersion, Inference]:
        version = self._snapshot.endpoint(variant)
        require_intended_use(version.spec.intended_use, study.facts, self._site)
        inference = await self._port.predict(version, study, budget_s, order)
        return version, stamped(inference, version)


def stamped(inference: Inference, version: ServedVersion) -> Inference:
    """The inference with what the regulatory gate says now; the replica may have started before it changed."""
    stamp = replace(inference.prediction.stamp, research_only=version.research_only)
    return replace(inference, prediction=replace(inference.prediction, stamp=stamp))


def failure_of(error: SerinusError) -> Failure:
    """How the fallback policy calls an error."""
    if isinstance(error, DeadlineExceeded):
        return Failure.TIMEOUT
    if isinstance(error, ModelUnavailable):
        return Failure.UNAVAILABLE
    if isinstance(error, OutsideIntendedUse):
        return Failure.OUTSIDE_USE
    if isinstance(error, StudyError):
        return Failure.UNREADABLE_INPUT
    return Failure.ERROR
