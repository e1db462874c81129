"""The report of a site, and the page on which a person reads it."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from observability.drift.counters import Tally
from observability.drift.page import page_of, shares_plot, trajectory_plot
from observability.drift.reference import Reference
from observability.drift.report import DriftReport, report_of
from observability.drift.verdict import DriftPlan, DriftState
from tests.unit.observability.drift.sites import BEGINS, MOVED, drawn, known_site, reference_of

PLAN = DriftPlan(arl_slices=3_650)
LAST = BEGINS + 13
SVG = "{http://www.w3.org/2000/svg}"


@cache
def alarming() -> DriftReport:
    return report()


def report(reference: Reference | None = None, tally: Tally | None = None) -> DriftReport:
    rng = np.random.default_rng(1)
    known = reference or known_site(rng)
    return report_of(
        known, drawn(rng, range(BEGINS, LAST + 1), MOVED) if tally is None else tally, LAST, PLAN
    )


def test_the_page_says_what_drifted_where_and_by_which_bins() -> None:
    page = page_of(alarming())
    assert '<p class="stamp alarm"><strong>alarm</strong> spacing at' in page
    for said in (
        "What drifted",
        "≥ 4 mm: ",
        "accepted by Dr. Reader",
        "What could not be seen",
        "mean moved by +",
    ):
        assert said in page
    assert "1972-09-27 00:00 to 1972-10-11 00:00 UTC" in page


def test_every_drawing_is_well_formed_and_nothing_is_fetched() -> None:
    page = page_of(alarming())
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 3
    assert all(ET.fromstring(one).tag == f"{SVG}svg" for one in drawings)
    assert not re.search(r"<script|<link|src=|href=|url\(", page)


def test_a_site_that_is_not_armed_says_why_and_draws_no_evidence() -> None:
    rng = np.random.default_rng(2)
    made = report(reference_of(drawn(rng, range(3))), Tally())
    assert made.verdict.state is DriftState.NOT_ARMED
    assert made.blind_spots == ()
    page = page_of(made)
    assert "150 of 1000 reference studies" in page
    assert "<h2>Evidence" not in page


def test_before_anything_is_watched_the_blind_spot_is_that_of_the_references_volume() -> None:
    made = report(tally=Tally())
    assert {spot.studies for spot in made.blind_spots} == {350, 1_400, 4_200}


def test_a_name_is_shown_as_it_was_written_and_is_no_markup() -> None:
    rng = np.random.default_rng(3)
    evil = ("<script>alert(1)</script>",)
    reference = reference_of(drawn(rng, range(40), leaf=evil), accepted_by="<b>Reader</b> & Co")
    page = page_of(report(reference, drawn(rng, range(BEGINS, LAST + 1), MOVED, evil)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;Reader&lt;/b&gt; &amp; Co" in page


def test_a_bar_is_as_high_as_its_share() -> None:
    drawing = ET.fromstring(shares_plot(("a", "b"), then=(75, 25), now=(1, 1)))
    heights = {kind: [] for kind in ("now", "then")}
    for bar in drawing.iter(f"{SVG}rect"):
        heights[bar.attrib["class"]].append(float(bar.attrib["height"]))
    assert heights["then"][0] == pytest.approx(3 * heights["then"][1], abs=0.1)
    assert heights["now"][0] == heights["now"][1] == pytest.approx(2 / 3 * heights["then"][0], abs=0.1)


def test_evidence_that_reaches_the_limit_is_drawn_at_it() -> None:
    verdict = alarming().verdict
    drawing = ET.fromstring(trajectory_plot(verdict))
    limit = next(line for line in drawing.iter(f"{SVG}line") if line.attrib["class"] == "limit")
    curve = next(drawing.iter(f"{SVG}polyline")).attrib["points"].split()
    lowest = min(float(point.split(",")[1]) for point in curve)
    assert len(curve) == len(verdict.trajectory) == 14
    assert lowest <= float(limit.attrib["y1"])
