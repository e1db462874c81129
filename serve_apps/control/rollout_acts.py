"""Does what a rollout's look asks for, in its order, and stops at the first that fails: the next look asks again.

Each is idempotent. A weight is set for the routing that the look was made from, an alias for the version that it
named then: what a person decided in between stays, and the next look sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from canary.rollout.actions import Action, AwaitDrain, GrantMirror, GrantSlot, GrantWeight, PointAlias, Record
from canary.rollout.advance import Event, Transition
from canary.rollout.notice import kind_of
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutStatus
from canary.routing_table import Slot
from core.errors import RolloutConflict, SerinusError
from ledger import ModelRouting, StoredRollout
from serve_apps.control.rollout_world import ROLLOUT

logger = logging.getLogger("serinus.rollouts")


class RolloutStore(Protocol):
    """`ledger.rollouts`, as far as acting needs it; raises RolloutConflict, LedgerUnavailable."""

    def move(
        self,
        before: StoredRollout,
        status: RolloutStatus,
        events: Iterable[Event] = ...,
        *,
        approval: Approval | None = ...,
    ) -> StoredRollout: ...


class RoutingPort(Protocol):
    """`ledger.routing`; all raise LedgerUnavailable, `set_weight` and `set_slot` also RoutingConflict and
    ExperimentUnderWay.
    """

    def set_weight(
        self, model: str, version: str, weight_bp: int, *, actor: str, expected_revision: int | None = ...
    ) -> ModelRouting: ...
    def set_slot(
        self, model: str, slot: Slot | None, *, actor: str, expected_revision: int | None = ...
    ) -> ModelRouting: ...
    def set_mirror(self, model: str, mirror_bp: int, *, actor: str) -> ModelRouting: ...


class AliasPort(Protocol):
    """MLflow's aliases, as `RegistryClient.move_alias` moves them; raises RegistryUnavailable, UnknownModel."""

    def move_alias(self, name: str, alias: str, expected: str | None, version: str) -> bool: ...


class MoveLog(Protocol):
    """`ledger.transitions`: the same move twice is one."""

    def record(
        self,
        model: str,
        alias: str,
        old: str | None,
        new: str | None,
        *,
        generation: int,
        reason: str,
        actor: str,
    ) -> bool: ...


class Touched(StrEnum):
    """What was changed, for whoever has to look at it again."""

    ROUTING = "routing"
    ALIASES = "aliases"


@dataclass(frozen=True, slots=True)
class Done:
    """What was changed, and the error of the action at which it stopped. `is_written`: the status, or nothing new
    was to be written.
    """

    touched: frozenset[Touched]
    is_written: bool
    error: SerinusError | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """What a rollout acts on."""

    store: RolloutStore
    routing: RoutingPort
    aliases: AliasPort
    moves: MoveLog


class Acts:
    """Carries one transition out."""

    def __init__(self, ports: Ports) -> None:
        self._p = ports

    def do(
        self, before: StoredRollout, transition: Transition, routing: ModelRouting, generation: int
    ) -> Done:
        """`routing` is that of the look, `generation` that of the model's table."""
        actions = with_record(transition)
        is_written = Record() not in actions
        touched: set[Touched] = set()
        try:
            for action in actions:
                match action:
                    case Record():
                        status, events = transition.status, transition.events
                        self._p.store.move(before, status, events, approval=transition.approval)
                        is_written = True
                        log_events(events)
                    case GrantWeight():
                        routing = self._grant(action, routing)
                        touched.add(Touched.ROUTING)
                    case GrantSlot():
                        routing = self._p.routing.set_slot(
                            routing.model, action.slot, actor=ROLLOUT, expected_revision=routing.revision
                        )
                        touched.add(Touched.ROUTING)
                    case GrantMirror():
                        routing = self._mirror(action, routing)
                        touched.add(Touched.ROUTING)
                    case PointAlias():
                        self._point(action, transition.status, generation)
                        touched.add(Touched.ALIASES)
                    case AwaitDrain():
                        pass
        except SerinusError as error:
            return Done(frozenset(touched), is_written, error)
        return Done(frozenset(touched), is_written)

    def _grant(self, asked: GrantWeight, routing: ModelRouting) -> ModelRouting:
        return self._p.routing.set_weight(
            routing.model,
            asked.version,
            asked.weight_bp,
            actor=ROLLOUT,
            expected_revision=routing.revision,
        )

    def _mirror(self, asked: GrantMirror, routing: ModelRouting) -> ModelRouting:
        """The share is the candidate's that the routing names, so it names it first, without a weight."""
        if routing.version != asked.version:
            routing = self._grant(GrantWeight(asked.version, 0), routing)
        return self._p.routing.set_mirror(routing.model, asked.share_bp, actor=ROLLOUT)

    def _point(self, asked: PointAlias, status: RolloutStatus, generation: int) -> None:
        if not self._p.aliases.move_alias(status.model, asked.alias, asked.expected, asked.version):
            raise RolloutConflict(f"the alias {asked.alias} was moved meanwhile")
        reason = status.ending or status.reason
        old = asked.expected
        self._p.moves.record(
            status.model, asked.alias, old, asked.version, generation=generation, reason=reason, actor=ROLLOUT
        )


def with_record(transition: Transition) -> tuple[Action, ...]:
    """The actions; what is to be kept beside a status that stays, as an approval is, comes first."""
    has_news = bool(transition.events) or transition.approval is not None
    if not has_news or Record() in transition.actions:
        return transition.actions
    return (Record(), *transition.actions)


def log_events(events: Iterable[Event]) -> None:
    """A line for each change that was written. Why stands in the ledger: it may hold the words of a person."""
    for event in events:
        after = event.after
        place = {"phase": after.phase.value, "step": after.step, "weight_bp": after.weight_bp}
        told = {"model": after.model, "version": after.candidate, "run": after.run, "actor": event.actor}
        logger.info(
            "rollout.transition", extra={"change": kind_of(event.before, after).value, **told, **place}
        )
