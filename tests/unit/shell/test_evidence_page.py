"""The page of a pack: it needs nothing else, shows what people wrote as they wrote it, and draws without overlaps."""

from __future__ import annotations

import copy
import itertools
import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hash_chain import chained
from serve_apps.application.evidence_page.e_value_plot import LOWEST, Curve, EValuePlot, Limit, draw
from serve_apps.application.evidence_page.frame import Frame, apart
from serve_apps.application.evidence_page.page import page_of
from serve_apps.application.evidence_page.ticks import number_ticks, time_ticks
from serve_apps.application.evidence_page.weight_plot import Granted
from serve_apps.application.evidence_page.weight_plot import draw as draw_weights
from tests.unit.canary.rollout.builders import NOON
from tests.unit.shell.evidence_pack_sample import a_pack

HOSTILE = (
    """</style></title><script>alert('1')</script><img src=x onerror="alert(1)">&amp;{{ 7*7 }}{% raw %}'\""""
)
SVG = "{http://www.w3.org/2000/svg}"


class Seen(HTMLParser):
    """The elements of a page with their attributes, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def with_everywhere(value: Any, text: str) -> Any:
    """Every sentence and whatever else people may name becomes `text`; dates, digests and our own words stay."""
    if isinstance(value, dict):
        return {name: with_everywhere(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [with_everywhere(one, text) for one in value]
    return text if (isinstance(value, str) and " " in value) or value in PEOPLE else value


PEOPLE = ("ris/ada", "radiologist", "site=north", "ich", "chest", "north", "CR-0142", "sensitivity")


def test_a_page_needs_no_script_and_nothing_from_elsewhere() -> None:
    seen = Seen(page_of(a_pack()))
    assert {tag for tag, _ in seen.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "form",
        "base",
    } == set()
    for tag, attributes in seen.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "href", "action")
        ], tag
    css = (seen.text[[tag for tag, _ in seen.elements].index("style")], *seen.text)
    assert not [text for text in css if "@import" in text or "url(" in text]


def test_a_page_shows_all_that_its_pack_tells() -> None:
    text = " ".join("".join(Seen(page_of(a_pack())).text).split())
    for record in a_pack()["records"]:
        assert record["digest"] in text
    for told in (
        a_pack()["digest"],
        "Version 2 against version 1",
        "two readers differ by that much",
        "ris/ada",
        "radiologist",
        "aborted by a person",
        "5 percentage points",
        "canary-failures",
        "log10 E",
        "CR-0142",
    ):
        assert told in text, told
    assert sum(tag == "svg" for tag, _ in Seen(page_of(a_pack())).elements) >= 4


@pytest.mark.parametrize("text", [HOSTILE, "<b>bold</b>", "]]><!-- ", "ä\u202e𝔘\u0085", "x" * 3_000])
def test_what_people_wrote_is_text_wherever_it_stands(text: str) -> None:
    plain, hostile = copy.deepcopy(a_pack()), copy.deepcopy(a_pack())
    hostile["records"] = [
        {**record, "content": with_everywhere(record["content"], text)} for record in hostile["records"]
    ]
    page = page_of(hostile)
    seen, expected = Seen(page), Seen(page_of(plain))
    assert text in "".join(seen.text)
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in expected.elements}
    known = {name for _, attributes in expected.elements for name in attributes}
    assert {name for _, attributes in seen.elements for name in attributes} <= known
    assert "49" not in {part.strip() for part in seen.text if part.strip() == "49"}


def test_a_page_of_a_run_that_saw_nothing_is_a_page() -> None:
    emptied = copy.deepcopy(a_pack())
    for record in emptied["records"]:
        content = record["content"]
        if record["kind"] == "metric":
            content["trajectory"] |= {
                "observations": 0,
                "harm": [[0, 0.0]],
                "non_inferiority": [],
                "strata": {},
            }
            content |= {"estimate": None, "strata": [], "observed": 0, "agrees_with_kept": None}
        elif record["kind"] == "sample-ratio":
            content |= {"arms": [], "trajectory": [[0, 0.0]], "agrees_with_kept": None}
    emptied["records"] = [one for one in emptied["records"] if one["kind"] != "event"]
    page = page_of(emptied)
    assert "<svg" not in page
    assert "Nothing was observed" in page


def test_a_change_of_the_plan_two_artifacts_and_a_run_whose_beginning_is_missing_stand_out() -> None:
    other = copy.deepcopy(a_pack())
    by_kind = {record["kind"]: record["content"] for record in other["records"]}
    by_kind["plan"]["digest_at_start"] = "0" * 64
    by_kind["versions"]["candidate"]["artifact_digests"] = ["d2", "d2-other"]
    by_kind["run"]["first_event"] = 4
    text = " ".join("".join(Seen(page_of(other)).text).split())
    for told in ("began with another plan", "read by more than one artifact", "The 3 events before these"):
        assert told in text


def test_the_page_is_a_function_of_the_file() -> None:
    assert page_of(json.loads(json.dumps(a_pack()))) == page_of(a_pack())
    contents = [(one["kind"], one["content"]) for one in a_pack()["records"]]
    assert chained(contents) == a_pack()["records"]


# ---- drawings


def plot(*curves: Curve, limits: tuple[Limit, ...] = ()) -> ET.Element:
    return ET.fromstring(draw(EValuePlot("title", "studies", curves, limits)))


def points_of(line: ET.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]  # type: ignore[misc]


SERIES = st.lists(st.floats(-80, 80), min_size=2, max_size=50).map(lambda ys: tuple(enumerate(ys)))


@given(one=SERIES, other=SERIES)
def test_curves_and_names_lie_within_the_drawing(one: Any, other: Any) -> None:
    limits = (Limit(2.6, "stops", "harm", 1), Limit(1.6, "passes", "shown"))
    svg = plot(Curve("harm", one, "harm"), Curve("non-inferiority", other, "shown"), limits=limits)
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for line in svg.iter(f"{SVG}polyline"):
        assert all(-0.1 <= x <= width and -0.1 <= y <= height for x, y in points_of(line))
    for text in svg.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height
    named = {"harm", "non-inferiority", "stops", "passes"}
    names = sorted(float(text.attrib["y"]) for text in svg.iter(f"{SVG}text") if text.text in named)
    assert len(names) == 4
    assert all(after - before >= 14 - 0.2 for before, after in itertools.pairwise(names))


def test_a_curve_far_below_is_cut_at_the_lowest() -> None:
    svg = plot(Curve("harm", ((0, 0.0), (1, -60.0), (2, LOWEST)), "harm"))
    (line,) = svg.iter(f"{SVG}polyline")
    assert points_of(line)[1][1] == points_of(line)[2][1]


def test_the_first_crossing_is_marked_where_it_was() -> None:
    reached = Limit(2.0, "stops", "harm", 3)
    svg = plot(Curve("harm", ((0, 0.0), (3, 2.1), (6, 1.0)), "harm"), limits=(reached,))
    (dot,) = svg.iter(f"{SVG}circle")
    (line,) = svg.iter(f"{SVG}polyline")
    assert float(dot.attrib["cx"]) == points_of(line)[1][0]
    assert not list(plot(Curve("harm", ((0, 0.0), (3, 1.0)), "harm")).iter(f"{SVG}circle"))


def test_a_weight_is_drawn_as_steps_up_to_the_end() -> None:
    granted = [Granted(NOON, 1, 0.0, 100.0), Granted(NOON + timedelta(days=2), 2, 25.0, 100.0)]
    svg = ET.fromstring(draw_weights(granted, NOON + timedelta(days=4)))
    mirror, weight = (points_of(line) for line in svg.iter(f"{SVG}polyline"))
    assert len(weight) == 4
    assert weight[0][1] == weight[1][1] > weight[2][1] == weight[3][1]
    assert weight[1][0] == weight[2][0]
    assert len({y for _, y in mirror}) == 1


def test_events_at_one_moment_share_a_number_and_one_event_alone_can_be_drawn() -> None:
    granted = [Granted(NOON, number, 0.0, 100.0) for number in range(1, 9)]
    svg = ET.fromstring(draw_weights(granted, NOON))
    assert [t.text for t in svg.iter(f"{SVG}text")].count("2") == 0
    assert ET.fromstring(draw_weights(granted[:1], NOON)) is not None


@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-2, 1e6), most=st.integers(2, 9))
def test_ticks_are_few_round_and_within(low: float, span: float, most: int) -> None:
    ticks = number_ticks(low, low + span, most)
    assert len(ticks) <= most + 1
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-3) for gap in gaps)


@given(seconds=st.integers(0, 4 * 365 * 86_400))
def test_times_are_few_and_within(seconds: int) -> None:
    start, end = NOON, NOON + timedelta(seconds=seconds)
    ticks = time_ticks(start, end)
    assert len(ticks) <= 8
    assert all(start <= at <= end for at, _ in ticks)


def test_times_are_called_by_day_or_by_hour() -> None:
    assert (
        time_ticks(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC))[0][1] == "01 Jun 00:00"
    )
    assert time_ticks(NOON, NOON + timedelta(days=30))[0][1].endswith("Jun 2026")


@given(st.lists(st.floats(0, 200), max_size=12))
def test_names_are_pushed_apart_in_their_order(wanted: list[float]) -> None:
    heights = apart(wanted, 0.0, 200.0)
    placed = sorted(heights)
    assert all(after - before >= 14 - 1e-6 for before, after in itertools.pairwise(placed))
    assert [wanted[i] for i in sorted(range(len(wanted)), key=lambda i: heights[i])] == sorted(wanted)
    assert all(-1e-6 <= height <= 200 for height in heights)


def test_a_value_lies_where_its_axis_says() -> None:
    frame = Frame(x=(0.0, 10.0), y=(0.0, 1.0), width=120, height=100, left=10, right=10, top=10, bottom=10)
    assert (frame.at(0, 0), frame.at(10, 1), frame.at(5, 0.5)) == ((10, 90), (110, 10), (60, 50))
