"""What people decide about traffic: weights, shares, rules, pins. Each change is audited with its actor.

A change is written first and then announced: a controller that misses the announcement sees it at its next tick.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from canary.explain import DecisionRow, Explanation, explain
from canary.routing_table import Rule, Slot
from core.clock import now
from core.errors import InvalidField
from ledger import AuditAnchor, AuditLook, AuditRow, EscalationEvent, Freeze, Ledger, ModelRouting
from observability.redaction import Pseudonymiser
from serve_apps.application.callers import Caller
from serve_apps.application.executors import run_in
from serve_apps.application.fresh_snapshot import SnapshotChecks
from serve_apps.application.routing_checks import (
    require_another_version,
    require_candidate,
    require_no_other_weight,
    require_rules,
    require_shadow,
    require_variant,
)
from serve_apps.application.routing_snapshot import RoutingSnapshot

Announce = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Routes:
    """Who reads what now, and what people have set. `pending` counts the shadows that a version has still to read."""

    snapshot: RoutingSnapshot
    desired: Mapping[str, ModelRouting]
    freeze: Freeze | None
    pending: Mapping[tuple[str, str], int]
    at: datetime


@dataclass(frozen=True, slots=True)
class JobExplanation:
    """Why which version read the job's study, by stored row, and what one version saw and another missed.

    Both are of the job `same_as` where that one had read the same before; another tenant's is not named.
    """

    job_id: str
    decisions: tuple[tuple[DecisionRow, Explanation], ...]
    escalations: tuple[Mapping[str, Any], ...]
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """Who did what, newest first, and whether that is all there ever was."""

    rows: tuple[AuditRow, ...]
    look: AuditLook


class RoutingService:
    """Reads the tables in force and changes what they are made of."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        checks: SnapshotChecks,
        keys: Pseudonymiser,
        announce: Announce,
        executor: Executor,
        anchor: AuditAnchor,
    ) -> None:
        self._ledger = ledger
        self._anchor = anchor
        self._snapshot = snapshot
        self._checks = checks
        self._keys = keys
        self._announce = announce
        self._executor = executor

    async def routes(self) -> Routes:
        desired = await run_in(self._executor, self._ledger.routing.all)
        freeze = await run_in(self._executor, self._ledger.routing.frozen)
        pending = await run_in(self._executor, self._ledger.shadows.backlog)
        return Routes(self._snapshot(), desired, freeze, pending, now())

    async def set_weight(
        self,
        model: str,
        version: str,
        weight_bp: int,
        *,
        actor: str,
        expected_revision: int | None = None,
        in_advance: timedelta | None = None,
    ) -> None:
        """Send a share of the patients to the challenger. Raises InvalidField when that version is not it.

        With `expected_revision` it raises RoutingConflict if somebody has changed the model's routing since; in
        advance also while another version has a weight.
        """
        stored = await run_in(self._executor, self._ledger.routing.get, model)

        def check(snapshot: RoutingSnapshot) -> None:
            require_candidate(snapshot, model, version, weight_bp, stored.version)

        await self._checks.require(lambda snapshot: require_another_version(snapshot, model, version))
        until = await self._checks.expiry(check, in_advance)
        if until is not None:
            require_no_other_weight(self._snapshot(), stored.in_force(now()), version)
        await self._change(
            self._ledger.routing.set_weight,
            model,
            version,
            weight_bp,
            actor=actor,
            expected_revision=expected_revision,
            in_advance_until=until,
        )

    async def set_slot(
        self, model: str, slot: Slot | None, *, actor: str, expected_revision: int | None = None
    ) -> None:
        """Give the model's rollouts a slot of a layer, None for all patients. Raises ExperimentUnderWay while that
        would take patients from a version with a weight, or give it those of an A/B test.
        """
        self._snapshot().table(model)
        await self._change(
            self._ledger.routing.set_slot, model, slot, actor=actor, expected_revision=expected_revision
        )

    async def set_shadow(
        self, model: str, alias: str, share_bp: int, *, actor: str, in_advance: timedelta | None = None
    ) -> None:
        """Set the share of the studies that the version of an alias reads as a shadow. Raises InvalidField."""
        until = await self._checks.expiry(lambda snapshot: require_shadow(snapshot, model, alias), in_advance)
        await self._change(
            self._ledger.routing.set_shadow, model, alias, share_bp, actor=actor, in_advance_until=until
        )

    async def set_safety_net(self, model: str, share_bp: int, *, actor: str) -> None:
        """Set the share of the canary's studies that the champion reads too."""
        self._snapshot().table(model)
        await self._change(self._ledger.routing.set_safety_net, model, share_bp, actor=actor)

    async def set_rules(
        self, model: str, rules: Sequence[Rule], *, actor: str, in_advance: timedelta | None = None
    ) -> None:
        """Set all explicit rules of a model, in the order in which they are tried. A pin goes before them."""
        until = await self._checks.expiry(lambda snapshot: require_rules(snapshot, model, rules), in_advance)
        await self._change(self._ledger.routing.set_rules, model, rules, actor=actor, in_advance_until=until)

    async def pin(
        self, model: str, patient_id: str, variant: str, *, actor: str, in_advance: timedelta | None = None
    ) -> None:
        """Have one patient always read by a variant. Only the pseudonym is kept. Raises InvalidField."""
        until = await self._checks.expiry(
            lambda snapshot: require_variant(snapshot, model, variant, "/variant"), in_advance
        )
        key = self._keys.patient(patient_id)
        await self._change(self._ledger.routing.pin, model, key, variant, actor=actor, in_advance_until=until)

    async def unpin(self, model: str, patient_id: str, *, actor: str) -> None:
        """Take a patient's pin away."""
        self._snapshot().table(model)
        key = self._keys.patient(patient_id)
        await self._change(self._ledger.routing.unpin, model, key, actor=actor)

    async def discard_shadows(self, model: str, version: str, reason: str, *, actor: str) -> int:
        """Discard a version's pending shadows, as when it will never run again; returns how many."""
        return await run_in(
            self._executor,
            self._ledger.shadows.discard,
            model,
            version,
            actor=actor,
            reason=reason,
        )

    async def explain(self, job_id: str, caller: Caller) -> JobExplanation:
        """Why which version read the job's study, in words, and whether the stored rows still compute to it.

        Raises JobNotFound.
        """
        job = await run_in(self._executor, self._ledger.jobs.get, job_id)
        caller.require_sight(job.tenant)
        read_by = job.same_as or job_id
        stored = await run_in(self._executor, self._ledger.decisions.of_job, read_by)
        escalations = await run_in(self._executor, self._ledger.escalations.of_job, read_by)
        decisions = tuple((decision.row, explain(decision.row)) for decision in stored)
        return JobExplanation(job_id, decisions, tuple(escalations), job.same_as_told)

    async def events(self, cursor: int, caller: Caller, limit: int = 200) -> tuple[EscalationEvent, ...]:
        """The escalations that the caller may hear since `cursor`, oldest first."""
        since = self._ledger.escalations.since
        return await run_in(self._executor, since, cursor, limit, tenant=caller.confined_to)

    async def audit(self, limit: int, full: bool = False) -> AuditTrail:
        """Who did what, newest first, and whether the chain of rows is whole: since the anchor, or `full`y."""
        rows = await run_in(self._executor, self._ledger.audit.rows, limit=limit)
        look = await run_in(self._executor, self._anchor.look, full=full)
        return AuditTrail(tuple(rows), look)

    async def _change(self, change: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        try:
            await run_in(self._executor, change, *arguments, **named)
        except ValueError as error:
            raise InvalidField(str(error)) from None
        await self._announce()
