"""A site that obeys at once: registry, routers and ledger of one rollout, and the people who approve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from canary.evidence.metric import MetricSpec
from canary.rollout.actions import PREVIOUS, Action, GrantMirror, GrantWeight, PointAlias, Record
from canary.rollout.advance import Event, Transition, advance
from canary.rollout.approvals import missing
from canary.rollout.evidence_told import metrics_seen
from canary.rollout.nominate import begin
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Approval, RolloutEvidence, Seen, World
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.rollout.step import ApprovalRule, Pause
from canary.rollout.verbs import Refused, Verb, VerbKind, apply_verb
from canary.routing_table import BASIS_POINTS, CHAMPION
from canary.simulation.counted import COUNTED, CountedMetric
from canary.simulation.studies import NO_PAIRS, Answered, Studies
from canary.verdict import Verdict

CANDIDATE: Final = "candidate"
STABLE: Final = "champion"
MOST_LOOKS: Final = 50  # at one moment: each does something, and a plan has an end
NOT_SIMULATED: Final = "the simulation has no studies for it"


@dataclass(slots=True)
class SimulatedSite:
    """One run of a plan. MLflow and the routers obey, the split is the weight, and nobody sets anything by hand.

    `exposed` are the studies that the candidate answered below a weight of 100 %, `by_step` all of them by step.
    """

    plan: RolloutPlan
    studies: Studies
    now: datetime
    status: RolloutStatus = field(init=False)
    aliases: dict[str, str] = field(default_factory=lambda: {CHAMPION: STABLE})
    weight_bp: int = 0
    mirror_bp: int = BASIS_POINTS
    exposed: int = 0
    adverse: int = 0
    drawn: bool = False
    by_step: dict[int, int] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    paused_at: datetime | None = None
    metrics: tuple[CountedMetric, ...] = field(init=False)
    _evidence: RolloutEvidence | None = None

    def __post_init__(self) -> None:
        self.status = begin(self.plan, CANDIDATE, STABLE, run=1, now=self.now)
        self.metrics = tuple(CountedMetric(one) for one in self.plan.metrics if one.kind in COUNTED)

    def pass_time(self, until: datetime) -> None:
        """Studies come up to `until`, under the weights that hold since the last look."""
        days = (until - self.now).total_seconds() / 86_400
        self.now = until
        if not self.status.is_promoted and not self.status.has_ended:
            answered, pairs = self.studies.drawn(days, until, self.weight_bp, self.mirror_bp)
            truths = self.studies.truths(until)
            for metric in self.metrics:
                metric.take(answered, pairs, self.weight_bp, truths)
            self._count(answered)
        else:
            self._late_truths(until)
        self._evidence = None

    def look(self) -> None:
        """Look until nothing is left to do, as the controller does within seconds, and nobody has a word to say."""
        for _ in range(MOST_LOOKS):
            transition = advance(self.plan, self.status, self._seen(), self.now)
            if not (self._acted(transition) or self._approved() or self._resumed()):
                return

    def _late_truths(self, until: datetime) -> None:
        """After the promotion both read no study any more; what they had read still becomes known."""
        truths = self.studies.truths(until)
        for metric in self.metrics:
            metric.take(Answered(), NO_PAIRS, 0, truths)

    def _count(self, answered: Answered) -> None:
        in_report = answered.canary - answered.canary_failed  # where it failed, the champion answered
        self.exposed += in_report if self.weight_bp < BASIS_POINTS else 0
        self.adverse += answered.adverse
        self.drawn |= answered.canary > 0
        if in_report:
            self.by_step[self.status.step] = self.by_step.get(self.status.step, 0) + in_report

    def _seen(self) -> Seen:
        champion = self.aliases[CHAMPION]
        world = World(
            champion=champion,
            challenger=CANDIDATE,
            previous=self.aliases.get(PREVIOUS),
            weight_bp=self.weight_bp,
            mirror_bp=self.mirror_bp,
            shadow_ready=True,
            data_plane=Verdict.SUCCESSFUL,
            answering=champion,
            is_drained=True,
        )
        return Seen(world, self._known(), tuple(self.approvals))

    def _known(self) -> RolloutEvidence:
        if self._evidence is None:
            states = {one.spec.name: one.state for one in self.metrics}
            self._evidence = RolloutEvidence(
                run=self.status.run,
                metrics=metrics_seen(self.plan.metrics, states, _unread(self.plan.metrics)),
                exposed_studies=self.exposed,
                adverse_events=self.adverse,
                studies_by_step=dict(self.by_step),
                sample_ratio=Verdict.SUCCESSFUL if self.drawn else Verdict.INCONCLUSIVE,
            )
        return self._evidence

    def _acted(self, transition: Transition) -> bool:
        """Whether there was anything to do, so that another look may find more."""
        self.status = transition.status
        self.events += transition.events
        for action in transition.actions:
            self._do(action)
        return bool(transition.events) or any(not isinstance(one, Record) for one in transition.actions)

    def _do(self, action: Action) -> None:
        match action:
            case GrantWeight(_, weight_bp):
                self.weight_bp = weight_bp
            case GrantMirror(_, share_bp):
                self.mirror_bp = share_bp
            case PointAlias(alias, _, version):
                self.aliases[alias] = version

    def _approved(self) -> bool:
        """Whether one more person approved: all do, once the step has been under way for the time they take."""
        after_s = self.studies.assumptions.approve_after_s
        rule = self._approval_rule()
        if rule is None or after_s is None or self.status.phase is not RolloutPhase.PROGRESSING:
            return False
        given = tuple(one for one in self.approvals if one.step == self.status.step)
        waited_s = (self.now - self.status.step_began_at).total_seconds()
        if waited_s < after_s or missing(rule, given) is None:
            return False
        role = _next_role(rule, given)
        return self._said(Verb(kind=VerbKind.APPROVE, actor=f"person {len(given) + 1}", role=role))

    def _resumed(self) -> bool:
        """Whether a person resumed a pause of which that may be."""
        after_s = self.studies.assumptions.resume_after_s
        if self.status.phase is not RolloutPhase.PAUSED:
            self.paused_at = None
            return False
        self.paused_at = self.paused_at or self.now
        if after_s is None or (self.now - self.paused_at).total_seconds() < after_s:
            return False
        return self._said(Verb(kind=VerbKind.RESUME, actor="person 1"))

    def _said(self, verb: Verb) -> bool:
        """Whether the verb was taken."""
        outcome = apply_verb(self.plan, self.status, verb, self._seen(), self.now)
        if isinstance(outcome, Refused):
            return False
        if outcome.approval is not None:
            self.approvals.append(outcome.approval)
        self._acted(outcome)
        return True

    def _approval_rule(self) -> ApprovalRule | None:
        number, steps = self.status.step, self.plan.steps
        step = steps[number] if number < len(steps) else None
        return step.approval if isinstance(step, Pause) else None


def _next_role(rule: ApprovalRule, given: tuple[Approval, ...]) -> str:
    """Each role by a person of its own, and those beyond them in the first one."""
    if len(given) < len(rule.roles):
        return rule.roles[len(given)]
    return rule.roles[0] if rule.roles else "person"


def _unread(specs: tuple[MetricSpec, ...]) -> Mapping[str, str]:
    return {one.name: NOT_SIMULATED for one in specs if one.kind not in COUNTED}
