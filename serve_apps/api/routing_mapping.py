"""How routes, explanations, the audit and a freeze are told on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from canary.explain import DecisionRow
from canary.routing_table import BASIS_POINTS, RoutingTable, Slot
from canary.slot_text import slot_in_layer
from ledger import ModelRouting
from serve_apps.api.problems import Problem
from serve_apps.api.routing_schemas import ConfirmedOut, FreezeOut, SlotIn
from serve_apps.application.freeze import FreezeOutcome
from serve_apps.application.job_in_words import JobInWords
from serve_apps.application.routing import AuditTrail, JobExplanation, Routes
from serve_apps.application.truth import KnownTruth


def slot_of(slot: SlotIn | None) -> Slot | None:
    if slot is None:
        return None
    return slot_in_layer(slot.layer, slot.start, slot.stop)


def slot_document(slot: Slot | None) -> dict[str, Any] | None:
    return None if slot is None else {"layer": slot.layer, "start": slot.start, "stop": slot.stop}


def routes_document(routes: Routes) -> dict[str, Any]:
    """The tables in force, with what people have set."""
    freeze = routes.freeze
    return {
        "generation": routes.snapshot.generation,
        "frozen": None if freeze is None else {"by": freeze.actor, "reason": freeze.reason},
        "pending": [
            {"model": model, "version": version, "shadows": shadows}
            for (model, version), shadows in sorted(routes.pending.items())
        ],
        "in_advance": [
            {"model": model, "what": name, "expires_at": until.isoformat()}
            for model, routing in sorted(routes.desired.items())
            for name, until in sorted(routing.in_advance.items())
            if until > routes.at
        ],
        "models": [
            table_document(table) | desired_document(routes, model)
            for model, table in sorted(routes.snapshot.tables.items())
        ],
    }


def desired_document(routes: Routes, model: str) -> dict[str, Any]:
    """What people want of the model's traffic now; `revision` is for `expected_revision` of the next change."""
    routing = routes.desired.get(model, ModelRouting(model)).in_force(routes.at)
    return {
        "revision": routing.revision,
        "desired_weight_bp": routing.weight_bp,
        "desired_slot": slot_document(routing.slot),
    }


def table_document(table: RoutingTable) -> dict[str, Any]:
    canary, test = table.canary, table.ab_test
    champion_bp = BASIS_POINTS - (canary.share_bp if canary else 0)
    return {
        "model": table.model,
        "generation": table.generation,
        "key": table.key.value,
        "champion": {"version": table.champion.version, "weight_bp": champion_bp},
        "canary": None
        if canary is None
        else {
            "version": canary.variant.version,
            "weight_bp": canary.weight_bp,
            "slot": slot_document(canary.slot),
        },
        "arms": [
            {"name": arm.variant.name, "version": arm.variant.version, "weight_bp": arm.weight_bp}
            for arm in (test.arms if test else ())
        ],
        "ab_slot": slot_document(test.slot if test else None),
        "shadows": [
            {
                "name": shadow.variant.name,
                "version": shadow.variant.version,
                "percent": shadow.share_bp / 100,
                "share_bp": shadow.share_bp,
            }
            for shadow in table.shadows
        ],
        "rules": [asdict(rule) | {"keys": len(rule.keys)} for rule in table.rules],
        "safety_net_bp": table.safety_net_bp,
        "frozen": table.frozen,
    }


def explanation_document(
    explained: JobExplanation, words: JobInWords, truths: Iterable[KnownTruth]
) -> dict[str, Any]:
    return {
        "job": explained.job_id,
        "same_as": explained.same_as,
        "priority": words.priority,
        "end": list(words.end),
        "decisions": [
            {"sentences": list(words.sentences), "agrees": words.agrees, "row": row_document(row)}
            for row, words in explained.decisions
        ],
        "escalations": [dict(escalation) for escalation in explained.escalations],
        "truths": [truth_document(known) for known in truths],
    }


def truth_document(known: KnownTruth) -> dict[str, Any]:
    """What was told of the study, without who read it and what he noted."""
    truth, told = known.truth, known.truth.told
    said = {"label": told.label, "value": told.value, "unit": truth.unit, "source": told.source}
    times = {"read_at": told.read_at, "received_at": told.received_at, "withdrawn_at": told.withdrawn_at}
    return {"finding": truth.finding, **said, **times, "in_force": known.is_in_force}


def row_document(row: DecisionRow) -> dict[str, Any]:
    """The stored row; its table is named by its digest."""
    return {name: value for name, value in asdict(row).items() if name != "table"}


def audit_document(trail: AuditTrail) -> dict[str, Any]:
    return {**asdict(trail.look), "rows": [asdict(row) for row in trail.rows]}


def freeze_out(outcome: FreezeOutcome) -> FreezeOut:
    """The outcome; raises Problem 503, with what is known, when it does not surely hold."""
    answer = FreezeOut(
        frozen=outcome.frozen,
        recorded=outcome.recorded,
        confirmed=tuple(
            ConfirmedOut(deployment=c.deployment, replicas=c.confirmed) for c in outcome.confirmations
        ),
        unconfirmed=outcome.unconfirmed,
    )
    if outcome.holds:
        return answer
    raise Problem(
        "freeze-unconfirmed",
        "the ledger does not answer and not every replica has confirmed; send it again",
        retryable=True,
        members=answer.model_dump(mode="json"),
    )
