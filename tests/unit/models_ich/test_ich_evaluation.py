"""What an evaluation without the real head keeps of an earlier one, and how answers of a cohort are counted."""

from __future__ import annotations

from typing import Any

from imaging.finding import Presence
from models.zoo.ich.bleed import BleedKind
from models.zoo.ich.cohort_reading import Readings, figures
from models.zoo.ich.evaluate import ALONE, keep_real
from models.zoo.ich.phantom import Labels

REAL = "real-anatomy heads"


def report(weights: str, real: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "weights": weights,
        "sets": {"phantom heads": "new"},
        "gain": {"phantom heads": "new"},
    }
    if real is not None:
        found["sets"][REAL] = found["gain"][REAL] = found[ALONE] = real
    return found


def test_figures_of_the_real_head_stay_for_a_version_that_has_not_changed() -> None:
    now = {"1": report("a"), "2": report("b")}
    keep_real(now, {"1": report("a", "kept"), "2": report("b", "kept")})
    for version in now.values():
        assert version["sets"] == {"phantom heads": "new", REAL: "kept"}
        assert version[ALONE] == "kept"
    assert now["2"]["gain"] == {"phantom heads": "new", REAL: "kept"}


def test_a_version_that_changed_or_is_new_has_none() -> None:
    now = {"2": report("new"), "5": report("e")}
    keep_real(now, {"2": report("old", "kept")})
    assert now == {"2": report("new"), "5": report("e")}


def test_a_gain_over_a_version_that_changed_does_not_stay() -> None:
    now = {"2": report("new"), "4": report("d")}
    keep_real(now, {"2": report("old", "kept"), "4": report("d", "kept")})
    assert now["4"]["sets"][REAL] == "kept"
    assert REAL not in now["4"]["gain"]


def labels(kind: BleedKind, *, thick: bool) -> Labels:
    return Labels(kind, thick, noisy=False, calcified=False, metal=False, bleed_mm2=0.0)


CASES = (
    labels(BleedKind.RIM, thick=False),
    labels(BleedKind.RIM, thick=False),
    labels(BleedKind.INTRA_AXIAL, thick=True),
    labels(BleedKind.NONE, thick=False),
    labels(BleedKind.NONE, thick=True),
)
PRESENT, ABSENT, UNSURE = Presence.PRESENT, Presence.ABSENT, Presence.INDETERMINATE


def test_who_abstains_or_fails_is_right_about_nobody() -> None:
    readings = Readings(CASES, (False,) * 5, {1: (PRESENT, UNSURE, None, ABSENT, UNSURE)})
    found = figures(readings, 1, None)
    assert (found["all"]["failed"], found["all"]["abstained"]) == (1, 2)
    assert found["all"]["sensitivity"]["value"] == round(1 / 3, 4)
    assert found["all"]["specificity"]["value"] == 0.5
    assert found["all"]["balanced accuracy"]["value"] == round((1 / 3 + 1 / 2) / 2, 4)


def test_a_stratum_counts_its_own_cases() -> None:
    readings = Readings(CASES, (False,) * 5, {1: (PRESENT, ABSENT, ABSENT, PRESENT, ABSENT)})
    found = figures(readings, 1, None)
    assert (found["thin"]["cases"], found["thick"]["cases"]) == (3, 2)
    assert found["rim, thin"]["sensitivity"]["value"] == 0.5
    assert found["thin"]["specificity"]["value"] == 0
    assert found["thick"]["specificity"]["value"] == 1


def test_a_gain_is_that_of_the_answers() -> None:
    said = {1: (ABSENT, ABSENT, PRESENT, ABSENT, ABSENT), 2: (PRESENT, ABSENT, PRESENT, ABSENT, PRESENT)}
    found = figures(Readings(CASES, (False,) * 5, said), 2, 1)["all"]["gain"]
    assert found["over"] == 1
    assert found["sensitivity"]["value"] == round(1 / 3, 4)
    assert found["specificity"]["value"] == -0.5
