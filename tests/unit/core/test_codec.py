"""What is written as a document is read back as it was, and nothing else is read."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.gates import GateVerdict, Permission
from canary.observation import ReconcilerState, Retired, VersionView
from canary.routing_table import ABTest, Arm, Canary, RoutingTable, Rule, Shadow, Slot, Variant
from core.codec import InvalidDocument, from_json, from_plain, to_json, to_plain
from core.study import StudyRef


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    label: str = ""

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x must not be negative")


@dataclass(frozen=True, slots=True)
class Drawing:
    points: tuple[Point, ...]
    at: datetime
    colour: Colour = Colour.RED
    kind: Literal["line", "area"] = "line"
    size: tuple[int, int] | None = None
    named: Mapping[str, Point] = field(default_factory=dict)
    words: frozenset[str] = frozenset()


texts = st.text(st.characters(codec="utf-8"), max_size=8)
points = st.builds(Point, st.floats(0, 1e6), texts)
drawings = st.builds(
    Drawing,
    st.lists(points, max_size=3).map(tuple),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from(Colour),
    st.sampled_from(["line", "area"]),
    st.none() | st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.dictionaries(texts, points, max_size=2),
    st.frozensets(texts, max_size=3),
)
DRAWING = Drawing((Point(1.0, "a"), Point(2.0)), datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), size=(1, 2))


@given(drawings)
def test_a_value_comes_back_as_it_was(drawing: Drawing) -> None:
    assert from_plain(Drawing, json.loads(json.dumps(to_plain(drawing)))) == drawing
    assert from_json(Drawing, to_json(Drawing, drawing)) == drawing


def table() -> RoutingTable:
    champion, two, three = (
        Variant(name, v, "d" * 64, f"mv-m-{v}")
        for name, v in zip(("champion", "arm-a", "arm-b"), "123", strict=True)
    )
    return RoutingTable(
        7,
        "m",
        champion,
        canary=Canary(Variant("canary", "4", "e" * 64, "mv-m-4"), 500, "salt", Slot("l", "s", 0, 5000)),
        ab_test=ABTest((Arm(two, 4000), Arm(three, 6000)), "other", 9000, Slot("l", "s", 5000)),
        shadows=(Shadow(Variant("shadow-5", "5", "f" * 64, "mv-m-5"), 1000),),
        rules=(Rule("r", "champion", sites=("north",)),),
    )


def test_the_controller_state_comes_back_as_it_was() -> None:
    kind: Any = dict[str, ReconcilerState]
    state = ReconcilerState(
        aliases={"champion": "1"},
        champion="1",
        versions={
            "1": VersionView(
                "1",
                "d" * 64,
                "mv-m-1",
                GateVerdict(frozenset({Permission.ANSWER}), research_only=False, reason="cleared"),
            )
        },
        with_role=frozenset({"1", "2"}),
        retired=(Retired("0", 12.5, was_champion=True),),
        generation=7,
        table=table(),
    )
    assert from_json(kind, to_json(kind, {"m": state, "n": ReconcilerState()})) == {
        "m": state,
        "n": ReconcilerState(),
    }


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in to_plain(DRAWING).items() if name != key}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"extra": 1}, "/extra"),
        ({"points": [{"x": 1.0, "y": 2.0}]}, "/points/0/y"),
        ({"points": [{"x": "1.0"}]}, "/points/0/x"),
        ({"points": [{"x": True}]}, "/points/0/x"),
        ({"points": [{"x": float("nan")}]}, "/points/0/x"),
        ({"points": [{"x": float("inf")}]}, "/points/0/x"),
        ({"points": [{"x": -1.0}]}, "/points/0"),
        ({"points": "xy"}, "/points"),
        ({"size": [1, 2, 3]}, "/size"),
        ({"size": [1, 2.0]}, "/size/1"),
        ({"colour": "RED"}, "/colour"),
        ({"kind": "dot"}, "/kind"),
        ({"at": 5}, "/at"),
        ({"named": {"a/b": {}}}, "/named/a~1b/x"),
        ({"x" * 100: 1}, "/" + "x" * 64),
    ],
)
def test_what_does_not_fit_is_refused_with_its_pointer(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        from_plain(Drawing, to_plain(DRAWING) | change)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    "document", [None, [], "x", 5, {"at": b"bytes"}, {"at": object()}, without("points")]
)
def test_something_else_is_refused(document: object) -> None:
    with pytest.raises(InvalidDocument):
        from_plain(Drawing, document)


@pytest.mark.parametrize("text", ["", "null", "{", "[]", "Doe^Jane"])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocument):
        from_json(Drawing, text)


@pytest.mark.parametrize(
    "change",
    [
        {"at": "Doe^Jane"},
        {"colour": "Doe^Jane"},
        {"kind": "Doe^Jane"},
        {"size": "Doe^Jane"},
        {"points": [{"x": "Doe^Jane"}]},
        {"named": {"key": "Doe^Jane"}},
    ],
)
def test_an_error_repeats_no_value(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument) as refused:
        from_plain(Drawing, to_plain(DRAWING) | change)
    shown = f"{refused.value!s} {refused.value!r} {refused.value.__cause__!r} {refused.value.problem}"
    assert "Doe" not in shown
    assert refused.value.__suppress_context__


def test_a_key_of_another_release_is_passed_over_where_that_is_allowed() -> None:
    text = json.dumps(to_plain(DRAWING) | {"newer": 1})
    assert from_json(Drawing, text) == DRAWING
    with pytest.raises(InvalidDocument, match="/newer"):
        from_json(Drawing, text, forbid_unknown_keys=True)


def test_a_refusal_survives_pickling() -> None:
    error = InvalidDocument("/a", "it is blue")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.pointer, copy.problem, str(copy)) == ("/a", "it is blue", str(error))


def test_a_study_keeps_its_uids_out_of_errors() -> None:
    with pytest.raises(InvalidDocument) as refused:
        from_plain(StudyRef, {"source": "pacs", "study_uid": ["1.2.3.4"]})
    assert "1.2.3" not in str(refused.value)
