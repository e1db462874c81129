"""Declared rollouts, one look after the other: what is true now, where that moves them, and what is left to do.

Level-triggered: a look that was lost, or came twice, or broke off between two actions, is made up for by the next.
What fails for one model holds up no other. A challenger that no spec names begins by the site's default.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from canary.rollout.advance import Event, advance
from canary.rollout.default_plan import DefaultRollout
from canary.rollout.ends import superseded
from canary.rollout.gate_rules import questions_of
from canary.rollout.nominate import NotNow, begin, nominate, plan_for
from canary.rollout.plan import RolloutPlan
from canary.rollout.plan_digest import refused_changes
from canary.rollout.seen import Approval, RolloutEvidence, Seen, World
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.rollout.verbs import Refused, Verb, VerbKind, apply_verb
from canary.routing_table import CHAMPION, AssignmentKey
from core.clock import now
from core.errors import RolloutNotFound, RolloutRefused, SerinusError
from ledger import ModelRouting, StoredRollout, Transition
from ledger.rollout_marks import Mark
from serve_apps.application.evidence_port import EvidencePort
from serve_apps.control.gates import GatePort, NoGates
from serve_apps.control.rollout_acts import Acts, Done, Ports, RolloutStore, Touched
from serve_apps.control.rollout_board import RolloutBoard
from serve_apps.control.rollout_memory import RolloutMemory
from serve_apps.control.rollout_world import ROLLOUT, Drains, Sighting, Site, aliases_seen, world_of

logger = logging.getLogger("serinus.rollouts")


class KeptRollouts(RolloutStore, Protocol):
    """`ledger.rollouts`."""

    def newest(self) -> Sequence[StoredRollout]: ...
    def of_model(self, model: str) -> Sequence[StoredRollout]: ...
    def approvals(self, model: str, run: int) -> tuple[Approval, ...]: ...
    def begin(self, plan: RolloutPlan, status: RolloutStatus, *, actor: str) -> StoredRollout: ...
    def amend(self, before: StoredRollout, plan: RolloutPlan, *, actor: str) -> StoredRollout: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """What a look asks beside the controller's observation, and the board on which it tells what it found.

    `history` are an alias's moves, the newest first; `key` is what stays together when the site draws patients.
    """

    store: KeptRollouts
    routing: Callable[[], Mapping[str, ModelRouting]]
    site: Callable[[], Site]
    evidence: EvidencePort
    marks: Callable[[], Mapping[str, Mark]]
    history: Callable[[str], Sequence[Transition]]
    key: AssignmentKey = AssignmentKey.PATIENT
    board: RolloutBoard = field(default_factory=RolloutBoard)
    gates: GatePort = field(default_factory=NoGates)


class Rollouts:
    """Looks at rollouts, and does what people say to them. One call at a time. `default`: what begins by itself."""

    def __init__(
        self,
        sources: Sources,
        ports: Ports,
        drains: Drains,
        default: DefaultRollout,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._s = sources
        self._default = default
        self._acts = Acts(ports)
        self._memory = RolloutMemory(sources.evidence, sources.marks, sources.store.approvals)
        self._drains = drains
        self._clock = clock
        self._told: dict[tuple[str, int], str] = {}  # why a rollout could not act, as it was logged last

    def look(self, sighting: Sighting) -> frozenset[Touched]:
        """Look at every rollout once; returns what was changed. Raises LedgerUnavailable."""
        newest = self._begin_by_itself(self._s.store.newest(), sighting)
        self._s.gates.want(question for one in newest for question in questions_of(one.plan, one.status))
        touched = self._look_at_all(newest, sighting) if newest else frozenset()
        self._s.board.looked()
        return touched

    def _look_at_all(self, newest: Sequence[StoredRollout], sighting: Sighting) -> frozenset[Touched]:
        """A site without challengers pays for nothing, so it does not come here."""
        decided, site = self._s.routing(), self._s.site()
        self._memory.begin_look()
        touched: set[Touched] = set()
        for stored in newest:
            routing = self._in_force(decided, stored.status.model)
            if is_at_rest(stored.status, routing):
                self._s.board.saw(stored, None, self._clock())
                continue
            try:
                done = self._look_at(stored, sighting, routing, site)
            except Exception as error:
                logger.exception("rollout.look_failed", extra={"error": type(error).__name__})
                continue
            self._tell(stored, done)
            touched |= done.touched
        return frozenset(touched)

    def start(self, plan: RolloutPlan, sighting: Sighting, *, actor: str) -> bool:
        """Begin a rollout of the model's challenger, or give the one under way its changed plan; whether it began.

        Raises RolloutRefused with why neither may be, and RolloutConflict when somebody else was faster.
        """
        if plan.participants.key is not self._s.key:
            raise RolloutRefused(
                f"the plan draws by {plan.participants.key}, and this site by {self._s.key} (assignment_key)"
            )
        model, challenger = plan.model, sighting.challenger(plan.model)
        known = self._s.store.of_model(model)
        running = [one for one in known if not one.status.has_ended and one.status.candidate == challenger]
        by_itself = [one for one in running if one.plan.is_default and not one.status.is_promoted]
        if running and not running[-1].status.is_promoted and not by_itself:
            self._amend(running[-1], plan, actor)
            return False
        routing = self._in_force(self._s.routing(), model)
        world = world_of(model, challenger, sighting, routing, self._s.site())
        # a person may begin again what failed: that is a retry with another plan
        others = [one.status for one in known if not one.status.has_ended and one not in by_itself]
        found = nominate(world, others)
        if isinstance(found, NotNow):
            raise RolloutRefused(found.reason)
        status = begin(
            plan,
            found.candidate,
            found.stable,
            run=1 + max((one.status.run for one in known), default=0),
            now=self._clock(),
            why=f"{actor} started it",
        )
        for one in by_itself:
            self._replace(one, actor)
        self._s.store.begin(plan, status, actor=actor)
        logger.info("rollout.begun", extra={"model": model, "version": status.candidate, "run": status.run})
        return True

    def say(self, model: str, verb: Verb, sighting: Sighting) -> frozenset[Touched]:
        """Do what a person says to a model's rollout. Returns what was changed.

        Raises RolloutNotFound, RolloutRefused with why it may not be, and what kept it from being written.
        """
        known = self._s.store.of_model(model)
        if not known:
            raise RolloutNotFound("no rollout of that model was ever started")
        stored = meant(known, verb.kind)
        routing = self._in_force(self._s.routing(), model)
        seen = self._seen(stored, sighting, routing, self._s.site())
        seen = replace(seen, world=replace(seen.world, former_champions=self._former(model, seen.world)))
        outcome = apply_verb(stored.plan, stored.status, verb, seen, self._clock())
        if isinstance(outcome, Refused):
            raise RolloutRefused(outcome.reason)
        done = self._acts.do(stored, outcome, routing, generation_of(sighting, model))
        if done.error is not None and not done.is_written:
            raise done.error
        self._tell(stored, done)
        return done.touched

    def _begin_by_itself(
        self, newest: Sequence[StoredRollout], sighting: Sighting
    ) -> Sequence[StoredRollout]:
        """The rollouts, with one more for each challenger that was admitted and has none yet."""
        if not self._default.begins:
            return newest
        known: dict[str, list[StoredRollout]] = {}
        for one in newest:
            known.setdefault(one.status.model, []).append(one)
        begun = [self._begun(model, known.get(model, ()), sighting) for model in sighting.models]
        return [*newest, *(one for one in begun if one is not None)]

    def _begun(self, model: str, known: Sequence[StoredRollout], sighting: Sighting) -> StoredRollout | None:
        aliases = aliases_seen(model, sighting)
        if not sighting.is_admitted(model, aliases.challenger):
            return None
        found = nominate(aliases, [one.status for one in known])
        if isinstance(found, NotNow):
            return None
        plan = plan_for(model, [(one.plan, one.status) for one in known], self._default)
        status = begin(plan, found.candidate, found.stable, run=found.run, now=self._clock())
        try:
            return self._s.store.begin(plan, status, actor=ROLLOUT)
        except SerinusError as error:  # made up for by the next look
            logger.warning("rollout.not_begun", extra={"model": model, "error": error.code})
            return None

    def _replace(self, stored: StoredRollout, actor: str) -> None:
        """End a rollout that nobody declared, since somebody declares one."""
        before = stored.status
        after = superseded(before, f"{actor} declared a rollout of version {before.candidate}")
        self._s.store.move(stored, after, (Event(before, after, self._clock(), actor, after.reason),))

    def _look_at(self, stored: StoredRollout, sighting: Sighting, routing: ModelRouting, site: Site) -> Done:
        seen = self._seen(stored, sighting, routing, site)
        self._s.board.saw(stored, seen.evidence, self._clock())
        transition = advance(stored.plan, stored.status, seen, self._clock())
        return self._acts.do(stored, transition, routing, generation_of(sighting, stored.status.model))

    def _seen(self, stored: StoredRollout, sighting: Sighting, routing: ModelRouting, site: Site) -> Seen:
        status = stored.status
        table = sighting.table(status.model)
        answering = None if table is None else table.champion.version
        is_drained = self._drains.is_drained(status.model, answering, self._clock())
        world = world_of(status.model, status.candidate, sighting, routing, site, is_drained=is_drained)
        if status.has_ended:
            return Seen(world)
        approvals = self._memory.approvals(stored)
        return Seen(world, self._evidence(stored), approvals, self._s.gates.answers(*stored.key))

    def _evidence(self, stored: StoredRollout) -> RolloutEvidence | None:
        """What cannot be computed is not known."""
        try:
            return self._memory.evidence(stored)
        except Exception as error:
            logger.exception("rollout.no_evidence", extra={"error": type(error).__name__})
            return None

    def _amend(self, stored: StoredRollout, plan: RolloutPlan, actor: str) -> None:
        if plan == stored.plan:
            return
        if refused := refused_changes(stored.plan, plan):
            raise RolloutRefused("; ".join(refused))
        self._s.store.amend(stored, plan, actor=actor)

    def _former(self, model: str, world: World) -> tuple[str, ...]:
        """Versions that were champion, the last one first."""
        moves = (one.old for one in self._s.history(model) if one.alias == CHAMPION)
        return tuple(dict.fromkeys(old for old in moves if old is not None and old != world.champion))

    def _in_force(self, decided: Mapping[str, ModelRouting], model: str) -> ModelRouting:
        return decided.get(model, ModelRouting(model)).in_force(self._clock())

    def _tell(self, stored: StoredRollout, done: Done) -> None:
        """Log why a rollout could not act, once for each reason."""
        code = "" if done.error is None else done.error.code
        if code and self._told.get(stored.key) != code:
            logger.warning("rollout.not_done", extra={"model": stored.status.model, "error": code})
        self._told[stored.key] = code


def is_at_rest(status: RolloutStatus, routing: ModelRouting) -> bool:
    """Whether nothing can be left to do for a rollout that has ended: its candidate has no weight of its own.

    A version that failed has none, whoever set it; one whose rollout ended otherwise may have one from a person.
    """
    if not status.has_ended:
        return False
    has_weight = routing.version == status.candidate and routing.weight_bp > 0
    is_its_own = status.phase is RolloutPhase.FAILED or routing.weight_by == ROLLOUT
    return not (has_weight and is_its_own)


def meant(known: Sequence[StoredRollout], kind: VerbKind) -> StoredRollout:
    """The rollout that a verb is for, of the newest runs of a model's versions: mostly the one under way."""
    under_way = [one for one in known if not one.status.has_ended and not one.status.is_promoted]
    watched = [one for one in known if not one.status.has_ended and one.status.is_promoted]
    promoted = [one for one in known if one.status.is_promoted]
    first: Iterable[Sequence[StoredRollout]] = (under_way, watched, known)
    if kind is VerbKind.UNDO:
        first = (promoted, known)
    elif kind is VerbKind.RETRY:
        first = (known,)
    return next(some[-1] for some in first if some)


def generation_of(sighting: Sighting, model: str) -> int:
    table = sighting.table(model)
    return 0 if table is None else table.generation
