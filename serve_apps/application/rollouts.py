"""What people declare and say about rollouts, and how they stand. The controller does it; the ledger tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from canary.rollout.case import Case
from canary.rollout.expected import FEWEST_DAYS
from canary.rollout.plan import DAY_S, RolloutPlan
from canary.rollout.seen import Approval, MetricSeen, RolloutEvidence, Seen, World
from canary.rollout.verbs import Verb
from core.clock import now
from core.errors import InvalidField, RolloutNotFound, SerinusError, UrlRefused
from ledger import Ledger, RolloutEvent, StoredRollout
from serve_apps.application.callback_hosts import is_allowed
from serve_apps.application.evidence_port import EvidencePort
from serve_apps.application.executors import run_in

MOST_EVENTS = 50
RECENT: Final = timedelta(days=7)  # whole weeks, since fewer studies come on a Sunday
T = TypeVar("T")


class RolloutCalls(Protocol):
    """The controller, which alone knows how the world stands. Raises RolloutRefused, RolloutNotFound,
    RolloutConflict, NotReady, LedgerUnavailable, and what calls to another process raise.
    """

    async def start_rollout(self, plan: RolloutPlan, actor: str) -> bool: ...
    async def tell_rollout(self, model: str, verb: Verb) -> None: ...


@dataclass(frozen=True, slots=True)
class RolloutView:
    """One rollout with its approvals, what is known of it at that time, and its newest events, the newest first.

    `known` is None where nothing can be computed now. `studies_per_day`: of the model, as they came since the run
    began, over the last week at most; None in its first hour.
    """

    stored: StoredRollout
    at: datetime
    approvals: tuple[Approval, ...] = ()
    known: RolloutEvidence | None = None
    events: tuple[RolloutEvent, ...] = ()
    studies_per_day: float | None = None

    @property
    def evidence(self) -> tuple[MetricSeen, ...]:
        """What the metrics say, in the plan's order."""
        metrics = {} if self.known is None else self.known.metrics
        return tuple(metrics[one.name] for one in self.stored.plan.metrics if one.name in metrics)

    @property
    def case(self) -> Case:
        """For decisions that ask nothing of registry and routers."""
        nowhere = World(champion=None, challenger=None)
        return Case(self.stored.plan, self.stored.status, Seen(nowhere, self.known, self.approvals), self.at)


class RolloutService:
    """Starts rollouts, passes on what people say to them, and tells how they stand."""

    def __init__(
        self,
        ledger: Ledger,
        controller: RolloutCalls,
        evidence: EvidencePort,
        executor: Executor,
        callback_hosts: Sequence[str] = (),
    ) -> None:
        """`callback_hosts` are those that the site lets be called; without one a plan names no address."""
        self._hosts = callback_hosts
        self._ledger = ledger
        self._controller = controller
        self._evidence = evidence
        self._executor = executor

    async def all(self) -> tuple[StoredRollout, ...]:
        """The newest run of each version of each model, by model and run."""
        return await run_in(self._executor, self._ledger.rollouts.newest)

    async def of(self, model: str, run: int | None = None) -> RolloutView:
        """One run; left out: the rollout that is on its way to a promotion, else the one that began last.

        Raises RolloutNotFound.
        """
        return await run_in(self._executor, self._view, model, run)

    async def start(
        self, model: str, plans: Sequence[RolloutPlan], *, actor: str
    ) -> tuple[RolloutView, bool]:
        """Begin the model's rollout of `plans`, or change its plan where that may be; whether it began.

        Raises InvalidField unless there is one plan for the model, and for a ground-truth set that the model does not
        have; UrlRefused for an address that the site does not allow; and as RolloutCalls does.
        """
        mine = [plan for plan in plans if plan.model == model]
        if len(mine) != 1:
            raise InvalidField(
                f"the spec holds {len(mine)} rollouts for {model}, and one is started", "/spec"
            )
        require_allowed(mine[0], self._hosts)
        await run_in(self._executor, self._require_sets, mine[0])
        began = await self._controller.start_rollout(mine[0], actor)
        return await self.of(model), began

    async def read(self, read: Callable[[], T]) -> T:
        """What a spec says, read in a thread: a long text holds up nobody. Raises as `read` does."""
        return await run_in(self._executor, read)

    async def say(self, model: str, verb: Verb) -> RolloutView:
        """Say a verb to the model's rollout. Raises as RolloutCalls does."""
        await self._controller.tell_rollout(model, verb)
        return await self.of(model)

    def _view(self, model: str, asked: int | None) -> RolloutView:
        stored = self._newest(model) if asked is None else self._ledger.rollouts.get(model, asked)
        run, at = stored.status.run, now()
        return RolloutView(
            stored,
            at,
            self._ledger.rollouts.approvals(model, run),
            self._known(stored),
            self._ledger.rollouts.events(model, run, MOST_EVENTS),
            self._pace(stored, at),
        )

    def _newest(self, model: str) -> StoredRollout:
        known = self._ledger.rollouts.of_model(model)
        if not known:
            raise RolloutNotFound("no rollout of that model was ever started")
        on_its_way = (one for one in reversed(known) if not (one.status.has_ended or one.status.is_promoted))
        return next(on_its_way, known[-1])

    def _known(self, stored: StoredRollout) -> RolloutEvidence | None:
        """The evidence; None where it cannot be computed now."""
        try:
            return self._evidence.of(stored.status, stored.plan)
        except SerinusError:
            return None

    def _pace(self, stored: StoredRollout, at: datetime) -> float | None:
        """The studies of a day; None while that cannot be told."""
        since = max(stored.status.began_at, at - RECENT)
        days = (at - since).total_seconds() / DAY_S
        if stored.status.has_ended or days < FEWEST_DAYS:
            return None
        return self._ledger.rollout_feed.answered_number(stored.status.model, since) / days

    def _require_sets(self, plan: RolloutPlan) -> None:
        """A set that is registered later would be no evidence of the run."""
        named = {name for metric in plan.metrics for name in metric.truth_sets}
        known = (
            {one.name for one in self._ledger.truth_sets.newest() if one.model == plan.model} if named else ()
        )
        for name in sorted(named.difference(known)):
            raise InvalidField(
                f"the model has no ground-truth set {name}: register it before the start", "/spec"
            )


def require_allowed(plan: RolloutPlan, hosts: Sequence[str]) -> None:
    """Raise UrlRefused, which names no address, unless the site lets every address of the plan be called."""
    if not all(is_allowed(url, hosts) for url in plan.urls):
        raise UrlRefused("a notification or gate is on a host that this site does not allow", "/spec")
