"""Counters add up in any order, and a study lies in one bin of each signal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.drift.counters import Observed, Tally, counted, slice_of
from observability.drift.signals import (
    SignalGroup,
    SignalSpec,
    frequent_categories,
    quantile_edges,
)
from tests.unit.observability.drift.sites import SCANNER_A, SCANNER_B, SCORE, SPACING

KERNEL = SignalSpec("kernel", SignalGroup.ACQUISITION, categories=("B30f", "H60s"))
SIGNALS = (SPACING, SCORE, KERNEL)
values = st.fixed_dictionaries(
    {
        "spacing": st.one_of(st.none(), st.floats()),
        "score": st.floats(0, 1),
        "kernel": st.one_of(st.none(), st.sampled_from(["B30f", "H60s", "", "new"])),
    }
)
studies = st.builds(Observed, st.sampled_from([SCANNER_A, SCANNER_B]), st.integers(0, 3), values)


@settings(max_examples=40)
@given(parts=st.lists(st.lists(studies, max_size=5), max_size=4), order=st.randoms())
def test_replicas_that_add_their_counters_in_any_order_have_those_of_one_process(
    parts: list[list[Observed]], order: object
) -> None:
    tallies = [counted(SIGNALS, part) for part in parts]
    order.shuffle(tallies)  # type: ignore[attr-defined]
    merged = sum(tallies, Tally())
    assert merged == counted(SIGNALS, [study for part in parts for study in part])


@given(study=studies)
def test_a_study_adds_one_to_one_bin_of_every_signal(study: Observed) -> None:
    tally = counted(SIGNALS, [study])
    assert sorted(cell.signal for cell in tally.cells) == sorted(signal.name for signal in SIGNALS)
    assert set(tally.cells.values()) == {1}


@settings(max_examples=40)
@given(parts=st.lists(studies, max_size=20))
def test_a_node_counts_what_its_leaves_count(parts: list[Observed]) -> None:
    tally = counted(SIGNALS, parts)
    whole = tally.table(("north",), SPACING, range(4))
    leaves = [tally.table(leaf, SPACING, range(4)) for leaf in (SCANNER_A, SCANNER_B)]
    assert np.array_equal(whole, leaves[0] + leaves[1])
    assert np.array_equal(tally.without([SCANNER_A]).table((), SPACING, range(4)), leaves[1])


@given(value=st.floats(allow_nan=False))
def test_a_number_lies_between_the_edges_that_its_bin_names(value: float) -> None:
    place = SPACING.bin_of(value)
    bounds = (-math.inf, *SPACING.edges, math.inf)
    assert bounds[place] <= value <= bounds[place + 1]
    assert place != SPACING.bin_of(None)


@pytest.mark.parametrize(
    ("value", "label"), [("H60s", "H60s"), ("new", "other"), ("", "missing"), (None, "missing")]
)
def test_a_word_is_a_category_or_other_or_missing(value: str | None, label: str) -> None:
    assert KERNEL.labels[KERNEL.bin_of(value)] == label


def test_a_number_is_no_word_and_a_word_no_number() -> None:
    with pytest.raises(TypeError, match="kernel takes a word"):
        KERNEL.bin_of(1.0)
    with pytest.raises(TypeError, match="spacing takes a number"):
        SPACING.bin_of("1.0")


@pytest.mark.parametrize(
    ("edges", "categories"),
    [((), ()), ((1.0,), ("a",)), ((2.0, 1.0), ()), ((1.0, math.nan), ()), ((), ("a", "a")), ((), ("other",))],
)
def test_a_signal_without_clear_bins_cannot_be_made(
    edges: Sequence[float], categories: Sequence[str]
) -> None:
    with pytest.raises(ValueError):
        SignalSpec("x", SignalGroup.PIXELS, edges=tuple(edges), categories=tuple(categories))


def test_quantile_edges_leave_one_reference_study_in_a_hundred_in_each_outer_bin() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    signal = SignalSpec("noise", SignalGroup.PIXELS, edges=quantile_edges(values))
    counts = np.bincount([signal.bin_of(float(value)) for value in values], minlength=signal.bins)
    assert counts.tolist() == pytest.approx([100, 400, 1500, 2000, 2000, 2000, 1500, 400, 100, 0], abs=1)
    assert quantile_edges([]) == ()
    assert quantile_edges([3.0] * 9) == (3.0,)


def test_the_most_frequent_words_become_categories_whatever_their_order() -> None:
    words = ["b"] * 3 + ["a"] * 3 + ["c"] * 9 + ["d", "", "other"]
    assert frequent_categories(words, 3) == frequent_categories(words[::-1], 3) == ("c", "a", "b")


def test_a_slice_is_a_span_of_time() -> None:
    assert [slice_of(at, 86_400) for at in (0, 86_399, 86_400)] == [0, 0, 1]
