"""A site in memory: it does what transitions ask for, may crash between two actions, and writes down what it saw.

`broken` holds the invariants that were violated, each in a sentence; they are checked where the thing happens, by the
site's own books and not by the code under test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from canary.evidence.metric import MetricPhase
from canary.rollout.actions import Action, AwaitDrain, GrantMirror, GrantWeight, PointAlias, Record
from canary.rollout.advance import MOST_MOVES, Event, Transition, advance
from canary.rollout.gate import GateAnswer, GateKind
from canary.rollout.nominate import Nomination, begin, nominate
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import Approval, RolloutEvidence, Seen, World
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.rollout.verbs import Refused, Verb, VerbKind, apply_verb
from canary.routing_table import BASIS_POINTS, CHAMPION
from canary.verdict import Verdict
from core.codec import from_json, to_json
from tests.unit.canary.rollout.builders import NOON, evidence


@dataclass
class Site:
    """Version 1 is champion. `ledger` holds the last status of each version as text, as after a restart."""

    plan: RolloutPlan
    now: datetime = NOON
    champion: str | None = "1"
    challenger: str | None = None
    previous: str | None = None
    answering: str = "1"
    registry_answers: bool = True
    ledger_answers: bool = True
    is_frozen: bool = False
    is_drained: bool = True
    may_answer: bool = True
    weights: Counter[str] = field(default_factory=Counter)
    by_hand: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    mirrors: dict[str, int] = field(default_factory=dict)
    shadow_ready: bool = True
    data_plane: Verdict = Verdict.SUCCESSFUL
    sample_ratio: Verdict = Verdict.SUCCESSFUL
    phases: dict[str, MetricPhase] = field(default_factory=dict)
    has_evidence: bool = True
    exposed: Counter[int] = field(default_factory=Counter)
    adverse: Counter[int] = field(default_factory=Counter)
    by_step: dict[int, Counter[int]] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    answers: dict[GateKind, GateAnswer] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    ledger: dict[str, str] = field(default_factory=dict)
    cache: dict[str, RolloutStatus] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    spent: set[int] = field(default_factory=set)
    promoted: int = 0
    broken: list[str] = field(default_factory=list)

    # ---- what advance is told

    def status_of(self, version: str) -> RolloutStatus | None:
        if version not in self.cache and version in self.ledger:
            self.cache[version] = from_json(RolloutStatus, self.ledger[version], forbid_unknown_keys=True)
        return self.cache.get(version)

    def restart(self) -> None:
        """The controller knows no more than the ledger keeps."""
        self.cache.clear()

    @property
    def statuses(self) -> list[RolloutStatus]:
        found = (self.status_of(version) for version in self.ledger)
        return sorted((one for one in found if one is not None), key=lambda one: one.run)

    @property
    def under_way(self) -> RolloutStatus | None:
        """The newest rollout."""
        return self.statuses[-1] if self.ledger else None

    def seen(self, status: RolloutStatus) -> Seen:
        given = self.world(status.candidate), self.evidence(status.run), tuple(self.approvals)
        return Seen(*given, tuple(self.answers.values()))

    def world(self, candidate: str) -> World:
        return World(
            champion=self.champion,
            challenger=self.challenger,
            previous=self.previous,
            registry_answers=self.registry_answers,
            weight_bp=self.weights[candidate],
            hand_revision=self.by_hand.get(candidate),
            mirror_bp=self.mirrors.get(candidate, BASIS_POINTS),
            shadow_ready=self.shadow_ready,
            may_answer=self.may_answer,
            gate_reason="" if self.may_answer else "it was withdrawn",
            data_plane=self.data_plane,
            answering=self.answering,
            is_drained=self.is_drained,
            is_frozen=self.is_frozen,
            former_champions=tuple(one for one in (self.previous, "1") if one),
        )

    def evidence(self, run: int) -> RolloutEvidence | None:
        if not self.has_evidence:
            return None
        named = {name.replace("-", "_"): phase for name, phase in self.phases.items()}
        return replace(
            evidence(run, **named),
            exposed_studies=self.exposed[run],
            adverse_events=self.adverse[run],
            studies_by_step=dict(self.by_step.get(run, {})),
            sample_ratio=self.sample_ratio,
        )

    # ---- what the shell does

    def tick(self, crash_after: int | None = None) -> None:
        """One pass of a controller over all rollouts; it may crash after so many actions of each."""
        nominated = nominate(self.world(self.challenger or ""), self.statuses)
        if isinstance(nominated, Nomination):
            self._begin(nominated)
        for status in self.statuses:
            seen = self.seen(status)
            transition = advance(self.plan, status, seen, self.now)
            self._check_twice(transition, seen)
            self.act(status, transition, seen, crash_after)
        if crash_after is None and self.ledger_answers:
            self._check_exposure()

    def say(self, verb: Verb) -> Transition | Refused | None:
        """A verb to the newest rollout, as the API applies it."""
        status = self.under_way
        if status is None or not self.ledger_answers:
            return None
        seen = self.seen(status)
        outcome = apply_verb(self.plan, status, verb, seen, self.now)
        if isinstance(outcome, Transition):
            if verb.kind is VerbKind.RETRY:
                self.failed.discard(status.candidate)
            if outcome.approval is not None:
                self.approvals.append(outcome.approval)
            if verb.full:
                self.spent.clear()  # a person decided, which is what the budget of studies is for
            self.act(status, outcome, seen, None, full=verb.full, verb=verb)
        return outcome

    def act(
        self,
        before: RolloutStatus,
        transition: Transition,
        seen: Seen,
        crash_after: int | None,
        *,
        full: bool = False,
        verb: Verb | None = None,
    ) -> None:
        for number, action in enumerate(transition.actions):
            if number == crash_after or (not self.ledger_answers and not isinstance(action, PointAlias)):
                return
            if isinstance(action, Record):
                self._record(before, transition, seen, full=full, verb=verb)
            elif not self._do(action, transition.status):
                return

    def _begin(self, nominated: Nomination) -> None:
        if not self.ledger_answers:
            return
        status = begin(self.plan, nominated.candidate, nominated.stable, run=nominated.run, now=self.now)
        if nominated.candidate in self.failed:
            self.broken.append("a version that failed began again by itself")
        self.ledger[status.candidate], self.cache[status.candidate] = to_json(RolloutStatus, status), status

    def _record(
        self, before: RolloutStatus, transition: Transition, seen: Seen, *, full: bool, verb: Verb | None
    ) -> None:
        status = transition.status
        self._check_events(before, transition, seen, full=full, verb=verb)
        if status.phase in (RolloutPhase.ROLLING_BACK, RolloutPhase.FAILED):
            self.failed.add(status.candidate)
        text = to_json(RolloutStatus, status)
        if from_json(RolloutStatus, text, forbid_unknown_keys=True) != status:
            self.broken.append("a status that was saved and loaded is another one")
        self.ledger[status.candidate], self.cache[status.candidate] = text, status
        self.events += transition.events

    def _do(self, action: Action, status: RolloutStatus) -> bool:
        """Whether it was done."""
        match action:
            case GrantWeight(version, weight_bp):
                if (
                    weight_bp
                    and status.phase is not RolloutPhase.PAUSED
                    and not self._is_approved(status.run)
                ):
                    self.broken.append("patients were exposed without the approvals")
                if weight_bp and status.phase is not RolloutPhase.PAUSED:
                    self._check_begun(status)
                self._grant(version, weight_bp)
            case GrantMirror(version, share_bp):
                self.mirrors[version] = share_bp
            case PointAlias(alias, expected, version):
                return self._point(alias, expected, version, status)
            case AwaitDrain() | Record():
                pass
        return True

    def _grant(self, version: str, weight_bp: int) -> None:
        if weight_bp > 0 and version in self.failed:
            self.broken.append("a version that failed was given a weight")
        if self.weights[version] != weight_bp:
            self.data_plane = Verdict.INCONCLUSIVE
        self.weights[version] = weight_bp
        self.by_hand.pop(version, None)

    def _point(self, alias: str, expected: str | None, version: str, status: RolloutStatus) -> bool:
        """MLflow's compare and swap."""
        if not self.registry_answers:
            return False
        if alias != CHAMPION:
            self.previous = version
            return True
        if self.champion != expected:
            return False
        written = self.status_of(status.candidate)
        if version == status.candidate:
            if written is None or written.phase is not RolloutPhase.PROMOTING:
                self.broken.append("the alias moved before the promotion was written")
            if self.weights[version] != BASIS_POINTS:
                self.broken.append("the alias moved before the weight was 100 %")
            self.promoted += 1
        elif self.weights[status.candidate] != 0:
            self.broken.append("a rollback moved the alias before the weight was 0")
        self.champion, self.is_drained = version, False
        return True

    # ---- what must always be so

    def _check_exposure(self) -> None:
        """After a look that was done to its end. What came since the last one was in flight."""
        if any(self.weights[version] for version in self.failed):
            self.broken.append("a version that failed has a weight after a look")
        self.spent = set()
        status = self.under_way
        if status is None or not self.has_evidence or status.is_promoted:
            return
        if self.phases.get("canary-failures") is MetricPhase.FAILED and self.weights[status.candidate]:
            self.broken.append("a version that does harm has a weight after a look")
        if self._says_yes(GateKind.ROLLBACK, status.run) and self.weights[status.candidate]:
            self.broken.append("the gate asked for the way back and the candidate has a weight after a look")
        limits = self.plan.budget
        is_adverse = self.adverse[status.run] >= (limits.adverse or 1_000)
        is_exposed = self.exposed[status.run] >= (limits.studies or 1_000) and not self._is_at_all(status)
        if is_adverse or is_exposed:
            self.spent.add(status.run)
            if self.weights[status.candidate]:
                self.broken.append("the budget is spent and the candidate has a weight after a look")

    def _is_at_all(self, status: RolloutStatus) -> bool:
        """Whether the decision has fallen: the step of 100 % was reached."""
        return status.step >= len(self.plan.steps) - 1

    def _check_twice(self, transition: Transition, seen: Seen) -> None:
        if len(transition.events) >= len(self.plan.steps) + MOST_MOVES:
            self.broken.append("a look did not come to an end")
        again = advance(self.plan, transition.status, seen, self.now)
        if again.status != transition.status or again.events:
            self.broken.append(f"a second look moved it: {transition.reason} then {again.reason}")
        if again.actions != tuple(one for one in transition.actions if not isinstance(one, Record)):
            self.broken.append("a second look asks for something else")

    def _check_events(
        self, before: RolloutStatus, transition: Transition, seen: Seen, *, full: bool, verb: Verb | None
    ) -> None:
        for event in transition.events:
            if not event.reason.strip() or "\n" in event.reason:
                self.broken.append("an event without a reason in one sentence")
            was, is_ = event.before, event.after
            if was.run == is_.run and not full and is_.step not in (was.step, was.step + 1):
                self.broken.append(f"step {was.step} was followed by {is_.step}")
            if was.has_ended and verb is None:
                self.broken.append("a rollout that had ended moved by itself")
            self._check_gates(was, is_)
            if is_.phase is RolloutPhase.PROMOTING and not was.promotion_began:
                self._check_promotion(is_, seen)
            if was.phase is RolloutPhase.PAUSED and is_.phase is RolloutPhase.PROGRESSING and verb is None:
                self.broken.append("a pause was resumed by nobody")

    def _check_promotion(self, status: RolloutStatus, seen: Seen) -> None:
        """By the books: each question was answered well when it was decided, and two different people approved."""
        positive = all(
            self.phases.get(name) is MetricPhase.SUCCESSFUL for name in ("sensitivity", "canary-failures")
        )
        if not positive or not self.has_evidence or self.sample_ratio is Verdict.FAILED:
            self.broken.append("promoted without positive evidence")
        if not self._is_approved(status.run):
            self.broken.append("promoted without the approvals")
        if self.plan.gates.confirm_promotion and not self._says_yes(GateKind.CONFIRM_PROMOTION, status.run):
            self.broken.append("promoted without the gate that confirms it")

    def _check_gates(self, was: RolloutStatus, is_: RolloutStatus) -> None:
        """A run begins by a yes of its gate, and no step is done before that."""
        if was.run == is_.run and was.confirmed_at is None and is_.confirmed_at is not None:
            if not self._says_yes(GateKind.CONFIRM_ROLLOUT, is_.run):
                self.broken.append("a run began without its gate")
            self.confirmed.add(is_.run)
        if is_.step > 0:
            self._check_begun(is_)

    def _check_begun(self, status: RolloutStatus) -> None:
        if self.plan.gates.confirm_rollout and status.run not in self.confirmed:
            self.broken.append("a run went on before its gate let it begin")

    def _says_yes(self, kind: GateKind, run: int) -> bool:
        """By the books: about this run, and within the last minute."""
        answer = self.answers.get(kind)
        if answer is None or self.plan.gates.url(kind) is None or (answer.run, answer.says) != (run, True):
            return False
        return timedelta(0) <= self.now - answer.at <= timedelta(minutes=1)

    def _is_approved(self, run: int) -> bool:
        """Whether two different people approved, one as radiologist and one for quality."""
        people = [(one.actor, one.role) for one in self.approvals if one.run == run]
        radiologists, quality = ({a for a, r in people if r == role} for role in ("radiologist", "quality"))
        return any(one != other for one in radiologists for other in quality)

    # ---- what happens at the site

    def pass_time(self, by: timedelta) -> None:
        self.now += by

    def answer(self, kind: GateKind, says: bool | None) -> None:
        """A gate answers about the newest run."""
        if (status := self.under_way) is not None:
            self.answers[kind] = GateAnswer(kind, status.run, says, "quality management says so", self.now)

    def studies(self, count: int) -> None:
        """Patients come; the canary answers some of them if the ledger grants it a weight."""
        status = self.under_way
        if status is None or self.is_frozen or self.weights[status.candidate] == 0:
            return
        if self.weights[status.candidate] < BASIS_POINTS:
            self.exposed[status.run] += count
        if status.run in self.spent:
            self.broken.append("a patient was exposed after a look at a spent budget")
        self.by_step.setdefault(status.run, Counter())[status.step] += count

    def set_weight_by_hand(self, version: str, weight_bp: int) -> None:
        self.revision += 1
        if self.weights[version] != weight_bp:
            self.data_plane = Verdict.INCONCLUSIVE
        self.weights[version], self.by_hand[version] = weight_bp, self.revision
        self.spent.clear()

    def routers_follow(self) -> None:
        self.answering = self.champion or self.answering
        self.data_plane, self.is_drained = Verdict.SUCCESSFUL, True
