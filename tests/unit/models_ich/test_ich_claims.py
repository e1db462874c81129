"""The story that the versions carry, by the committed figures: what a card claims, its intervals show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from models.zoo.ich.trained import VERSIONS, evaluation_report, weights_digest

HEADS = "phantom heads"
Figures = Mapping[str, Any]


def heads(version: int, stratum: str) -> Figures:
    found: Figures = evaluation_report(version)["sets"][HEADS][stratum]
    return found


def cohort(version: int, stratum: str) -> Figures:
    found: Figures = evaluation_report(version)["cohort"][stratum]
    return found


def gain(version: int, stratum: str, measure: str) -> Figures:
    found: Figures = evaluation_report(version)["gain"][HEADS][measure][stratum]
    return found


def is_below(lower: Figures, higher: Figures) -> bool:
    """Whether the intervals are apart."""
    return bool(lower["high"] < higher["low"])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_figures_are_those_of_the_committed_weights(version: int) -> None:
    assert evaluation_report(version)["weights"] == weights_digest(version)


@pytest.mark.parametrize("figures_of", [heads, cohort])
def test_version_2_finds_more_rim_bleeds_than_version_1(figures_of: Any) -> None:
    assert is_below(figures_of(1, "rim")["sensitivity"], figures_of(2, "rim")["sensitivity"])


@pytest.mark.parametrize("figures_of", [heads, cohort])
@pytest.mark.parametrize("stratum", ["all", "thin", "thick"])
def test_version_2_pays_for_it_with_no_specificity_to_speak_of(figures_of: Any, stratum: str) -> None:
    before, after = (figures_of(version, stratum)["specificity"]["value"] for version in (1, 2))
    assert after >= before - 0.05
    assert after >= 0.8 or after >= before


@pytest.mark.parametrize("figures_of", [heads, cohort])
def test_version_3_alarms_in_thin_slices_where_version_2_does_not(figures_of: Any) -> None:
    before, after = (figures_of(version, "thin")["specificity"] for version in (2, 3))
    assert is_below(after, before)
    assert after["value"] <= 0.5
    assert before["value"] >= 0.8


def test_version_3_is_worse_than_version_2_in_thin_slices_also_when_bleeds_count_as_much() -> None:
    assert gain(3, "thin", "balanced accuracy")["high"] < 0


def test_version_3_is_at_least_as_good_in_thick_slices() -> None:
    """Which is the trap: where most slices are thick, nothing tells against it."""
    on_cohort = cohort(3, "thick")["gain"]
    assert on_cohort["sensitivity"]["low"] > 0
    assert on_cohort["specificity"]["high"] >= 0
    assert gain(3, "thick", "balanced accuracy")["value"] >= 0


def test_version_3_is_not_shown_to_be_worse_by_both_errors_together_over_a_whole_cohort() -> None:
    assert cohort(3, "all")["gain"]["balanced accuracy"]["high"] > 0


def test_the_broken_build_fails_on_a_tenth_and_differs_in_nothing_else() -> None:
    for stratum in ("all", "thin", "thick"):
        whole, broken = cohort(2, stratum), cohort(5, stratum)
        assert 0.05 < broken["failed"] / broken["cases"] < 0.17
        assert whole["failed"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_no_study_of_the_cohort_was_refused_by_the_input_check(version: int) -> None:
    assert cohort(version, "all")["refused by the input check"] == 0
    assert cohort(version, "all")["cases"] == 400
