"""Builders of whole, valid routing tables; a test states only what matters to it."""

from __future__ import annotations

from typing import Any

from canary.assignment import StudyFacts
from canary.routing_table import ABTest, Arm, Canary, RoutingTable, Shadow, Variant


def variant(name: str, version: str) -> Variant:
    return Variant(name, version, f"digest-{version}", f"mv-ich-{version}")


def canary(weight_bp: int, salt: str = "rollout-1", **changes: Any) -> Canary:
    return Canary(variant("canary", "2"), weight_bp, salt, **changes)


def ab_test(*weights: int, salt: str = "ab-1", **changes: Any) -> ABTest:
    arms = tuple(Arm(variant(f"arm-{i}", str(10 + i)), weight) for i, weight in enumerate(weights))
    return ABTest(arms, salt, **changes)


def shadow(share_bp: int, version: str = "9", name: str = "shadow-next") -> Shadow:
    return Shadow(variant(name, version), share_bp)


def table(**changes: Any) -> RoutingTable:
    values: dict[str, Any] = {"generation": 7, "model": "ich", "champion": variant("champion", "1")}
    return RoutingTable(**(values | changes))


def facts(key: str = "a", **changes: Any) -> StudyFacts:
    return StudyFacts(**({"study_key": f"st-{key}", "patient_key": f"pt-{key}"} | changes))
