"""Whole valid things; a test changes only what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from canary.observation import CHALLENGER
from canary.routing_table import CHAMPION, Canary, RoutingTable, Variant
from imaging.finding import Code, Finding, ModelStamp, Prediction, Presence, Urgency
from imaging.series import SeriesRule
from models.spec import (
    Channel,
    FindingSpec,
    InputSpec,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)
from serve_apps.application.messages import ServedVersion
from serve_apps.application.routing_snapshot import RoutingSnapshot, VariantState, VariantStatus

HAEMORRHAGE = Code("1386000", "SCT", "Intracranial hemorrhage")
DIGEST = "a" * 64


def a_spec(name: str = "ich-triage", modality: str = "CT", **output: Any) -> ModelSpec:
    priority = output.pop("priority", ((0.0, 0), (0.5, 50), (1.0, 100)))
    return ModelSpec(
        name=name,
        manufacturer="Serinus",
        input=InputSpec(SeriesRule((modality,)), Layout.SLICES, (Channel(Scaling.NONE),)),
        output=OutputSpec(
            Task.CLASSIFICATION,
            (FindingSpec(HAEMORRHAGE, 0.5, Urgency.CRITICAL),),
            priority=priority,
        ),
        intended_use=IntendedUse("research", (modality,)),
    )


def a_version(
    version: str = "1", model: str = "ich-triage", modality: str = "CT", **spec: Any
) -> ServedVersion:
    return ServedVersion(model, version, DIGEST, a_spec(model, modality, **spec), "research", True)


def a_variant(version: ServedVersion, name: str = CHAMPION) -> Variant:
    return Variant(name, version.version, version.digest, version.app_name)


def a_snapshot(
    *versions: ServedVersion, canary: ServedVersion | None = None, weight_bp: int = 0
) -> RoutingSnapshot:
    """A snapshot whose `versions` are champions of their models; `canary` challenges the first."""
    champions = versions or (a_version(),)
    tables = {v.model: RoutingTable(7, v.model, a_variant(v)) for v in champions}
    served = {v.app_name: v for v in champions}
    if canary is not None:
        drawn = Canary(a_variant(canary, "canary"), weight_bp, "salt")
        tables[canary.model] = replace(tables[canary.model], canary=drawn)
        served[canary.app_name] = canary
    return RoutingSnapshot(
        generation=7,
        registry="live",
        expected=frozenset(tables),
        tables=tables,
        endpoints=served,
        variants=tuple(
            VariantStatus(v.model, v.version, alias, VariantState.WARM)
            for v, alias in (
                *((champion, CHAMPION) for champion in champions),
                *(((canary, CHALLENGER),) if canary else ()),
            )
        ),
    )


def a_prediction(version: str = "1", **changes: Any) -> Prediction:
    base = Prediction(
        stamp=ModelStamp("ich-triage", version, DIGEST, "Serinus", True),
        series_uid="1.2.3",
        input_digest="b" * 64,
        findings=(
            Finding(HAEMORRHAGE, Presence.PRESENT, 0.91, 0.5, Urgency.CRITICAL, key_instance_uid="1.2.3.4"),
        ),
        priority_score=91,
        urgency=Urgency.CRITICAL,
    )
    return replace(base, **changes)
