"""A series only ever adds up: in any order, to the same; and there are never more of them than there may be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.metrics.instruments import (
    BYTES_IN,
    CASES,
    OF_NOW,
    OF_RECORDS,
    SECONDS,
    STAGE_SECONDS,
    Instrument,
    Kind,
)
from observability.metrics.series import OTHER, Exemplar, Key, Observation, Series, added, folded

ROOMY = 10**6
observations = st.builds(
    Observation,
    st.just(STAGE_SECONDS),
    st.tuples(st.sampled_from(["fetch", "forward"]), st.sampled_from(["CT", "MR"])),
    st.integers(0, 10**7).map(lambda number: number / 1024),  # so that sums are exact in any order
)


def taken_up(*batches: Sequence[Observation], most_lines: int = ROOMY) -> dict[Key, Series]:
    known: dict[Key, Series] = {}
    for batch in batches:
        known |= folded(known, batch, most_lines)
    return known


@given(st.lists(observations), st.data())
def test_batches_in_any_order_add_up_to_the_same(seen: list[Observation], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(seen))
    cut = data.draw(st.integers(0, len(seen)))
    assert taken_up(seen) == taken_up(shuffled[:cut], shuffled[cut:])


@given(st.lists(observations))
def test_every_observation_lies_in_one_bucket(seen: list[Observation]) -> None:
    series = taken_up(seen)
    assert sum(one.observed for one in series.values()) == len(seen)
    assert sum(one.total for one in series.values()) == sum(one.value for one in seen)


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (0.005, 0), (0.0051, 1), (3600.0, 17), (9e9, 18)])
def test_a_bound_belongs_to_its_bucket(value: float, place: int) -> None:
    series = added(None, Observation(STAGE_SECONDS, ("fetch", "CT"), value))
    assert [number for number, count in enumerate(series.counts) if count] == [place]
    assert len(series.counts) == len(SECONDS) + 1


def test_the_last_kept_trace_of_a_bucket_is_its_exemplar() -> None:
    first, last = Exemplar("a" * 32, 0.2, 1.0), Exemplar("b" * 32, 0.21, 2.0)
    series = None
    for exemplar in (first, last, None):
        series = added(series, Observation(STAGE_SECONDS, ("fetch", "CT"), 0.2, exemplar))
    assert series is not None
    assert [one for one in series.exemplars if one] == [last]


@given(st.lists(st.integers(0, 50).map(str), min_size=1), st.integers(1, 30))
def test_there_are_never_more_series_than_there_may_be(values: list[str], most: int) -> None:
    seen = [Observation(BYTES_IN, (value,), 1.0) for value in values]
    series = taken_up(seen, most_lines=most)
    assert len([labels for _, labels in series if labels != (OTHER,)]) <= most
    assert sum(one.total for one in series.values()) == len(values), (
        "what has no series of its own still counts"
    )


def test_a_histogram_needs_room_for_all_its_lines() -> None:
    seen = [Observation(STAGE_SECONDS, (stage, "CT"), 1.0) for stage in ("fetch", "forward", "report")]
    series = taken_up(seen, most_lines=2 * STAGE_SECONDS.lines)
    assert {labels for _, labels in series} == {("fetch", "CT"), ("forward", "CT"), (OTHER, OTHER)}
    again = folded(series, [Observation(STAGE_SECONDS, ("queue", "CT"), 1.0)], 2 * STAGE_SECONDS.lines)
    assert again.keys() == {(STAGE_SECONDS.name, (OTHER, OTHER))}


def test_a_metric_takes_no_more_than_its_own_share() -> None:
    seen = [Observation(CASES, ("CT", f"PART {number}"), 1.0) for number in range(CASES.most + 5)]
    series = taken_up(seen[:10], seen[10:])
    assert len(series) == CASES.most + 1
    assert series[CASES.name, (OTHER, OTHER)].total == 5
    assert taken_up(seen, [Observation(BYTES_IN, ("CT",), 1.0)])[BYTES_IN.name, ("CT",)].total == 1


def test_names_are_unique_and_units_stand_at_their_end() -> None:
    names = [one.name for one in (*OF_RECORDS, *OF_NOW)]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="unit"):
        Instrument("serinus_time", Kind.GAUGE, "how long", unit="seconds")
    with pytest.raises(ValueError, match="buckets"):
        Instrument("serinus_time", Kind.HISTOGRAM, "how long")
