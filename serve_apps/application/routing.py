"""What people decide about traffic: weights, shadows, pins, the freeze. Each change is audited with its actor.

A change is written first and then announced: a controller that misses the announcement sees it at its next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from canary.explain import explain
from canary.routing_table import BASIS_POINTS, RoutingTable, Rule
from core.clock import now
from ledger import Ledger
from observability.redaction import Pseudonymiser
from serve_apps.api.problems import Problem
from serve_apps.application.routing_snapshot import RoutingSnapshot

Announce = Callable[[], Awaitable[None]]


class RoutingService:
    """Reads the tables in force and changes what they are made of."""

    def __init__(
        self, ledger: Ledger, snapshot: Callable[[], RoutingSnapshot], keys: Pseudonymiser, announce: Announce
    ) -> None:
        self._ledger = ledger
        self._fleet = snapshot
        self._keys = keys
        self._announce = announce

    async def routes(self) -> dict[str, Any]:
        """Who reads what now, and what people have set."""
        snapshot = self._fleet()
        desired = await asyncio.to_thread(self._ledger.routing.all)
        frozen = await asyncio.to_thread(self._ledger.routing.frozen)
        owed = await asyncio.to_thread(self._ledger.shadows.backlog)
        return {
            "generation": snapshot.generation,
            "frozen": None if frozen is None else {"by": frozen.actor, "reason": frozen.reason},
            "owed": [
                {"model": model, "version": version, "readings": readings}
                for (model, version), readings in sorted(owed.items())
            ],
            "models": [
                table_json(table) | {"desired_weight_bp": desired[name].weight_bp if name in desired else 0}
                for name, table in sorted(snapshot.tables.items())
            ],
        }

    async def set_weight(self, model: str, version: str, weight_bp: int, actor: str) -> None:
        """Send a share of the patients to the challenger. Raises Problem 422 when it cannot answer."""
        self._require_challenger(model, version)
        await self._change(self._ledger.routing.set_weight, model, version, weight_bp, actor=actor, now=now())

    async def set_shadow(self, model: str, alias: str, share_bp: int, actor: str) -> None:
        self._fleet().table(model)
        await self._change(self._ledger.routing.set_shadow, model, alias, share_bp, actor=actor, now=now())

    async def set_safety_net(self, model: str, share_bp: int, actor: str) -> None:
        """The share of the canary's studies that the champion reads in silence."""
        self._fleet().table(model)
        await self._change(self._ledger.routing.set_safety_net, model, share_bp, actor=actor, now=now())

    async def set_rules(self, model: str, rules: Sequence[Rule], actor: str) -> None:
        """All explicit rules of a model, in the order in which they are tried. A pin goes before them."""
        self._fleet().table(model)
        await self._change(self._ledger.routing.set_rules, model, rules, actor=actor, now=now())

    async def pin(self, model: str, patient_id: str, variant: str | None, actor: str) -> None:
        """Have one patient always read by a variant; None takes the pin away. Only the pseudonym is kept."""
        self._fleet().table(model)
        key = self._keys.patient(patient_id)
        if variant is None:
            await self._change(self._ledger.routing.unpin, model, key, actor=actor, now=now())
        else:
            await self._change(self._ledger.routing.pin, model, key, variant, actor=actor, now=now())

    async def abandon(self, model: str, version: str, reason: str, actor: str) -> int:
        """Give up the silent readings that a version still owes, as when it will never run again."""
        return await asyncio.to_thread(
            self._ledger.shadows.abandon, model, version, actor=actor, reason=reason, now=now()
        )

    async def freeze(self, reason: str, actor: str) -> None:
        """All traffic to the champions, and nothing moves until somebody unfreezes."""
        await self._change(self._ledger.routing.freeze, actor=actor, reason=reason, now=now())

    async def unfreeze(self, actor: str) -> None:
        await self._change(self._ledger.routing.unfreeze, actor=actor, now=now())

    async def explain(self, job_id: str) -> dict[str, Any]:
        """Why which version read the job's study, in words, and whether the stored rows still compute to it."""
        await asyncio.to_thread(self._ledger.jobs.get, job_id)
        stored = await asyncio.to_thread(self._ledger.decisions.of_job, job_id)
        told = [(each.row, explain(each.row)) for each in stored]
        return {
            "job": job_id,
            "decisions": [
                {"sentences": list(e.sentences), "agrees": e.agrees, "row": asdict(row)} for row, e in told
            ],
            "escalations": [
                dict(each) for each in await asyncio.to_thread(self._ledger.escalations.of_job, job_id)
            ],
        }

    async def events(self, cursor: int, limit: int = 200) -> dict[str, Any]:
        """Escalations since `cursor`, oldest first, with the cursor to go on from."""
        found = await asyncio.to_thread(self._ledger.escalations.since, cursor, limit)
        events = [{"sequence": e.sequence, "job": e.job_id, "escalation": dict(e.detail)} for e in found]
        return {"events": events, "cursor": found[-1].sequence if found else cursor}

    async def audit(self, limit: int) -> dict[str, Any]:
        """Who did what, newest first, and whether the chain of rows is whole."""
        rows = await asyncio.to_thread(self._ledger.audit.rows, limit=limit)
        broken = await asyncio.to_thread(self._ledger.audit.first_broken)
        return {"first_broken": broken, "rows": [asdict(row) for row in rows]}

    async def _change(self, change: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        await asyncio.to_thread(change, *arguments, **named)
        await self._announce()

    def _require_challenger(self, model: str, version: str) -> None:
        table = self._fleet().table(model)
        if table.champion.version == version:
            raise Problem("invalid-field", "that version is the champion already", pointer="/version")


def table_json(table: RoutingTable) -> dict[str, Any]:
    """A routing table for people."""
    canary = table.canary
    champion_bp = BASIS_POINTS - (canary.weight_bp if canary else 0)
    return {
        "model": table.model,
        "generation": table.generation,
        "key": table.key.value,
        "champion": {"version": table.champion.version, "weight_bp": champion_bp},
        "canary": None
        if canary is None
        else {"version": canary.variant.version, "weight_bp": canary.weight_bp},
        "arms": [
            {"name": arm.variant.name, "version": arm.variant.version, "weight_bp": arm.weight_bp}
            for arm in (table.ab_test.arms if table.ab_test else ())
        ],
        "shadows": [
            {"name": s.variant.name, "version": s.variant.version, "percent": s.share_bp // 100}
            for s in table.shadows
        ],
        "rules": [asdict(rule) | {"keys": len(rule.keys)} for rule in table.rules],
        "safety_net_bp": table.safety_net_bp,
        "frozen": table.frozen,
    }
