"""Zero-harm inference: the variant that was drawn predicts; whatever it does wrong, the champion answers in time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from canary.assignment import Assignment
from canary.fallback import Action, Attempt, Failure, FallbackPolicy, after_failure, variant_budget_s
from canary.gates import SitePolicy
from canary.routing_table import Variant
from core.errors import (
    DeadlineExceeded,
    InputOutOfDistribution,
    ModelFailed,
    ModelUnavailable,
    OutsideIntendedUse,
    Overloaded,
    SerinusError,
    StudyError,
    StudyEvicted,
    WorkerLost,
)
from core.priority import QueueOrder
from serve_apps.application.failed_work import (
    NO_WORK,
    FailedWork,
    with_work,
    with_work_at,
    work_of,
)
from serve_apps.application.intended_use import require_intended_use
from serve_apps.application.messages import FetchedStudy, Inference, ServedVersion
from serve_apps.application.ports import InferencePort
from serve_apps.application.routing_snapshot import RoutingSnapshot

Clock = Callable[[], float]
Report = TypeVar("Report")


class OutputRefused(ModelFailed):
    """A version predicted what no report may hold."""


class NoTime(DeadlineExceeded):
    """Too little time is left to ask another variant than the champion, who follows: no caller hears of it."""


class HeldSlot(Protocol):
    """The worker's slot, which other studies may use while nobody works on this one.

    `at_source` serves the studies of other sources meanwhile, `lent` all.
    """

    @property
    def can_be_lent(self) -> bool: ...

    def at_source(self) -> AbstractAsyncContextManager[None]: ...

    def lent(self) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class InferenceRequest(Generic[Report]):
    """One study to be predicted within `deadline_s`.

    `accept` makes the report, and raises ModelFailed for a prediction that no report may hold. `caller_left_s`
    is the time to the caller's deadline, None where nobody is in a hurry.
    """

    study: FetchedStudy
    assignment: Assignment
    order: QueueOrder
    slot: HeldSlot
    accept: Callable[[Inference], Awaitable[Report]]
    deadline_s: float
    caller_left_s: float | None = None


@dataclass(frozen=True, slots=True)
class VariantFailure:
    """A variant that did not answer; it counts against the variant unless `counts` is false.

    `work` is what its replica did for nothing.
    """

    variant: Variant
    failure: Failure
    code: str
    counts: bool
    work: FailedWork = NO_WORK


@dataclass(frozen=True, slots=True)
class InferenceOutcome(Generic[Report]):
    """The accepted inference with its report, the version that made it, and who failed before."""

    inference: Inference
    report: Report
    variant: Variant
    version: ServedVersion
    failures: tuple[VariantFailure, ...]
    reason: str


class FallbackInference(Generic[Report]):
    """Asks variants in turn for one study, as the fallback policy says, until one answers or the time is spent.

    `failures` names those that did not answer, also while `predict` runs and after it has raised.
    """

    def __init__(
        self,
        snapshot: RoutingSnapshot,
        port: InferencePort,
        fallback: FallbackPolicy,
        site: SitePolicy,
        clock: Clock = time.monotonic,
    ) -> None:
        self.failures: list[VariantFailure] = []
        self._snapshot = snapshot
        self._port = port
        self._policy = fallback
        self._site = site
        self._clock = clock
        self._end = 0.0
        self._caller_end: float | None = None

    async def predict(self, request: InferenceRequest[Report]) -> InferenceOutcome[Report]:
        """Ask until a variant answers. Raises the champion's SerinusError when nobody is left to."""
        self._end = self._clock() + request.deadline_s
        left_s = request.caller_left_s
        self._caller_end = None if left_s is None else self._clock() + left_s
        champion = self._snapshot.table(request.study.model).champion
        variant, number = request.assignment.variant, 1
        reason = request.assignment.reason
        while True:
            is_champion = variant == champion
            try:
                version = self._snapshot.endpoint(variant)
                inference, report = await self._ask(version, request, is_champion=is_champion)
                return InferenceOutcome(inference, report, variant, version, tuple(self.failures), reason)
            except StudyEvicted:  # no variant can read it now, which is the fault of none
                raise
            except SerinusError as error:
                attempt = Attempt(is_champion, failure_of(error), number, self._end - self._clock())
                step = after_failure(attempt, self._policy)
                code = attempt.failure.value if isinstance(error, NoTime) else error.code
                failure = VariantFailure(variant, attempt.failure, code, step.counts, work_of(error))
                self.failures.append(failure)
                if step.action is Action.GIVE_UP:
                    raise
                number = number + 1 if step.action is Action.RETRY else 1
                variant = variant if step.action is Action.RETRY else champion
                reason = f"{reason}; {step.reason}"

    async def _ask(
        self, version: ServedVersion, request: InferenceRequest[Report], *, is_champion: bool
    ) -> tuple[Inference, Report]:
        require_intended_use(version.spec.intended_use, request.study.facts, self._site)
        if is_champion:
            left_s = self._end - self._clock()
            inference = await self._port.predict(version, request.study, left_s, request.order)
        else:
            inference = await self._ask_within_budget(version, request)
        inference = stamped(inference, version)
        try:
            return inference, await request.accept(inference)
        except ModelFailed as error:
            refused = with_work(OutputRefused(error.detail), inference.stages)
            raise with_work_at(refused, inference.replica) from None

    async def _ask_within_budget(
        self, version: ServedVersion, request: InferenceRequest[Report]
    ) -> Inference:
        """Ask another variant than the champion.

        Raises NoTime when the champion needs what is left; a caller's haste is no fault of the variant either.
        """
        if not request.slot.can_be_lent:
            raise NoTime("too many studies wait for other variants than the champion already")
        now = self._clock()
        caller_left_s = None if self._caller_end is None else self._caller_end - now
        unhurried_s = variant_budget_s(self._end - now, self._policy)
        budget_s = variant_budget_s(self._end - now, self._policy, caller_left_s)
        if unhurried_s is None or budget_s is None:
            raise NoTime("too little time is left to ask another variant than the champion")
        try:
            return await self._ask_on_a_lent_slot(version, request, budget_s)
        except DeadlineExceeded as error:
            if budget_s < unhurried_s:
                hurried = NoTime("the caller's deadline leaves no more time for another variant")
                raise with_work(hurried, work_of(error).stages) from None
            raise

    async def _ask_on_a_lent_slot(
        self, version: ServedVersion, request: InferenceRequest[Report], budget_s: float
    ) -> Inference:
        """Ask while others use the slot, so that a variant that hangs holds up its own study only.

        The wait for the slot costs the champion no time.
        """
        answered_at = self._clock()
        try:
            async with request.slot.lent():
                try:
                    return await self._port.predict(version, request.study, budget_s, request.order)
                finally:
                    answered_at = self._clock()
        finally:
            self._end += self._clock() - answered_at


def stamped(inference: Inference, version: ServedVersion) -> Inference:
    """The inference with what the regulatory gate says now; the replica may have started before it changed."""
    stamp = replace(inference.prediction.stamp, research_only=version.research_only)
    return replace(inference, prediction=replace(inference.prediction, stamp=stamp))


def failure_of(error: SerinusError) -> Failure:
    """How the fallback policy calls an error."""
    for kind, failure in _FAILURES:
        if isinstance(error, kind):
            return failure
    return Failure.ERROR


_FAILURES: Final = (
    (NoTime, Failure.NO_TIME),
    (DeadlineExceeded, Failure.TIMEOUT),
    (Overloaded, Failure.OVERLOADED),
    ((ModelUnavailable, WorkerLost), Failure.UNAVAILABLE),
    (OutsideIntendedUse, Failure.OUTSIDE_USE),
    (InputOutOfDistribution, Failure.FOREIGN_INPUT),
    (OutputRefused, Failure.REFUSED_OUTPUT),
    (StudyError, Failure.UNREADABLE_INPUT),
)
