"""What a shadow's reading is compared by: how long it worked, and how far its segmentation is the champion's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from canary.disclosure import Role
from imaging.packed_mask import Mask, pack
from serve_apps.application.shadow import ShadowOutcome, overlap_of
from tests.unit.shell.builders import a_prediction, a_spec
from tests.unit.shell.shadows import Shadows, a_claim, absent

CHAMPIONS = np.zeros((2, 4, 4), bool)
CHAMPIONS[0, :2, :2] = True  # four voxels
CANDIDATES = np.zeros((2, 4, 4), bool)
CANDIDATES[0, :2, :1] = True  # two of these


def delivered(mask: Mask | None, role: Role = Role.SHADOW, *, kept: bool = True) -> Any:
    said = ShadowOutcome.from_prediction(replace(absent("9"), mask=mask), a_spec()).as_json()
    packed = pack(mask) if mask is not None and kept else None
    return a_claim(role=role, delivered=said, mask=packed)


async def outcome_of(shadows: Shadows, mask: Mask | None, version: str = "2") -> Any:
    shadows.port.predictions[version] = a_prediction(version, mask=mask)
    assert await shadows.runner.run_once()
    ((_, outcome),) = shadows.rows.finished
    return outcome


async def test_the_overlap_with_what_was_delivered_is_kept_and_no_mask() -> None:
    outcome = await outcome_of(Shadows(delivered(CHAMPIONS)), CANDIDATES)
    assert outcome["overlap"] == pytest.approx(2 * 2 / 6, abs=1e-6)
    assert outcome["has_mask"] is True
    assert "mask" not in outcome


@pytest.mark.parametrize(
    ("champion", "candidate", "overlap"),
    [(CHAMPIONS, None, 0.0), (None, CANDIDATES, None), (None, None, None), (CHAMPIONS, CHAMPIONS, 1.0)],
)
@pytest.mark.parametrize("role", [Role.SHADOW, Role.SAFETY_NET])
def test_the_champions_segmentation_is_the_reference_whoever_answered(
    role: Role, champion: Mask | None, candidate: Mask | None, overlap: float | None
) -> None:
    first, second = (champion, candidate) if role is Role.SHADOW else (candidate, champion)
    assert overlap_of(delivered(first, role), a_prediction(mask=second)) == overlap


def test_a_mask_that_was_not_kept_or_is_of_another_volume_tells_nothing() -> None:
    assert overlap_of(delivered(CHAMPIONS, kept=False), a_prediction(mask=CANDIDATES)) is None
    assert overlap_of(delivered(CHAMPIONS), a_prediction(mask=CANDIDATES[:1])) is None


async def test_a_mask_that_cannot_be_read_costs_the_comparison_and_not_the_reading() -> None:
    claim = replace(delivered(CHAMPIONS), mask=b"broken")
    outcome = await outcome_of(Shadows(claim), CANDIDATES)
    assert (outcome["overlap"], outcome["version"]) == (None, "2")


async def test_what_the_version_worked_is_kept() -> None:
    shadows = Shadows(a_claim())
    shadows.port.work_ms = 12.3456
    assert (await outcome_of(shadows, None))["work_ms"] == 12.346


async def test_nobody_disagrees_with_a_champion_that_failed() -> None:
    """Its caller was told of the failure, and no result can have missed anything."""
    said = ShadowOutcome("1", "d", (), (), None).as_json() | {"error": "model-error"}
    shadows = Shadows(a_claim(delivered=said))
    outcome = await outcome_of(shadows, None)
    assert outcome["findings"][0]["critical"]
    assert shadows.escalations.recorded == []
