"""Which of several truths counts, and who was right by it: late, out of order, withdrawn, and each patient once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.paired_truth import (
    PairedReading,
    Stratum,
    measured_outcomes,
    paired_outcomes,
)
from canary.truth import RANK, Truth, TruthLabel, TruthSource, in_force

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRESENT, ABSENT, UNSURE = TruthLabel.PRESENT, TruthLabel.ABSENT, TruthLabel.INDETERMINATE


def a_truth(
    source: TruthSource = TruthSource.REPORT,
    label: TruthLabel = PRESENT,
    *,
    read_h: float = 0,
    received_h: float = 1,
    sequence: int = 1,
    withdrawn_h: float | None = None,
    from_queue: bool = False,
) -> Truth:
    return Truth(
        source,
        NOON + read_h * HOUR,
        NOON + received_h * HOUR,
        sequence,
        label,
        withdrawn_at=None if withdrawn_h is None else NOON + withdrawn_h * HOUR,
        from_queue=from_queue,
    )


def a_pair(patient: str = "p1", paired_h: float = 0, **more: object) -> PairedReading:
    said = {"champion_says": "present", "candidate_says": "absent"}
    fields = {"is_selected": True, "inclusion_probability": 0.25, **said, **more}
    return PairedReading(f"pair-{patient}", patient, NOON + paired_h * HOUR, Stratum("north"), **fields)  # type: ignore[arg-type]


hours = st.integers(0, 20).map(float)
truths = st.builds(
    a_truth,
    st.sampled_from(TruthSource),
    st.sampled_from(TruthLabel),
    read_h=hours,
    received_h=hours,
    withdrawn_h=st.none() | st.integers(21, 30).map(float),
    from_queue=st.booleans(),
)
several = st.lists(truths, max_size=6).map(
    lambda made: [replace(truth, sequence=number) for number, truth in enumerate(made)]
)


def test_the_sources_have_an_order_and_every_source_a_place_in_it() -> None:
    assert sorted(TruthSource, key=lambda source: RANK[source]) == list(TruthSource)
    assert next(iter(TruthSource)) is TruthSource.PATHOLOGY


def test_the_better_source_counts_however_late_the_other_comes() -> None:
    pathology = a_truth(TruthSource.PATHOLOGY, ABSENT, read_h=1, received_h=1, sequence=1)
    report = a_truth(TruthSource.REPORT, PRESENT, read_h=9, received_h=9, sequence=2)
    assert in_force([pathology, report]) is pathology


def test_the_newest_reading_of_a_source_counts_in_whatever_order_they_came() -> None:
    later = a_truth(label=ABSENT, read_h=5, received_h=6, sequence=1)
    earlier = a_truth(label=PRESENT, read_h=2, received_h=9, sequence=2)
    assert in_force([later, earlier]) is later
    assert in_force([earlier, later]) is later


def test_a_truth_that_is_withdrawn_leaves_its_place_to_the_next() -> None:
    report = a_truth(received_h=1)
    better = a_truth(TruthSource.PATHOLOGY, ABSENT, received_h=2, withdrawn_h=5)
    assert in_force([report, better]) is report
    assert in_force([report, better], NOON + 4 * HOUR) is better
    assert in_force([better]) is None


def test_a_truth_is_a_label_or_a_value() -> None:
    for both in ({"label": PRESENT, "value": 1.0}, {}):
        with pytest.raises(ValueError, match="a label or a value"):
            Truth(TruthSource.REPORT, NOON, NOON, 1, **both)  # type: ignore[arg-type]


@given(several, st.randoms(use_true_random=False))
def test_the_truth_in_force_does_not_depend_on_the_order_of_arrival(
    known: list[Truth], shuffled: random.Random
) -> None:
    order = known.copy()
    shuffled.shuffle(order)
    assert in_force(order) == in_force(known)


@given(several)
def test_nothing_outranks_the_truth_in_force(known: list[Truth]) -> None:
    chosen = in_force(known)
    counting = [truth for truth in known if truth.withdrawn_at is None]
    assert (chosen is None) is (not counting)
    if chosen is not None:
        same = [t for t in counting if t.source is chosen.source]
        assert RANK[chosen.source] == min(RANK[t.source] for t in counting)
        assert chosen.read_at == max(t.read_at for t in same)


def test_each_version_is_right_or_wrong_by_the_truth() -> None:
    (outcome,) = paired_outcomes([(a_pair(), [a_truth()])])
    assert (outcome.champion_correct, outcome.candidate_correct, outcome.truth) == (True, False, PRESENT)
    assert (outcome.stratum, outcome.patient) == (Stratum("north"), "p1")


@pytest.mark.parametrize("says", ["indeterminate", "not-reported", "no-result"])
@pytest.mark.parametrize("label", [PRESENT, ABSENT])
def test_who_says_nothing_is_not_right(says: str, label: TruthLabel) -> None:
    (outcome,) = paired_outcomes([(a_pair(candidate_says=says), [a_truth(label=label)])])
    assert not outcome.candidate_correct


def test_what_nobody_can_tell_judges_nobody() -> None:
    unsure = a_truth(TruthSource.ADJUDICATION, UNSURE, sequence=2)
    assert paired_outcomes([(a_pair(), [a_truth(), unsure])]) == ()
    assert paired_outcomes([(a_pair(), [])]) == ()


def test_outcomes_come_in_the_order_in_which_they_could_be_known() -> None:
    told_late = (a_pair("p1", 0), [a_truth(received_h=9, sequence=3)])
    read_late = (a_pair("p2", 5), [a_truth(received_h=1, sequence=1)])
    both_early = (a_pair("p3", 0), [a_truth(received_h=2, sequence=2)])
    found = paired_outcomes([told_late, read_late, both_early])
    assert [outcome.patient for outcome in found] == ["p3", "p2", "p1"]
    assert [outcome.arrived_at for outcome in found] == [NOON + n * HOUR for n in (2, 5, 9)]


def test_a_patient_counts_once_by_the_first_study_also_if_only_the_second_has_a_truth() -> None:
    first, second = a_pair("p1", 0), replace(a_pair("p1", 1), id="later", candidate_says="present")
    (outcome,) = paired_outcomes([(second, [a_truth()]), (first, [a_truth()])])
    assert outcome.pair == first.id
    assert paired_outcomes([(second, [a_truth()]), (first, [])]) == ()


def test_what_is_known_only_by_the_queue_weighs_by_its_probability_and_else_as_one() -> None:
    answer = a_truth(TruthSource.ADJUDICATION, from_queue=True, received_h=2, sequence=2)
    (asked,) = paired_outcomes([(a_pair(), [answer])])
    assert (asked.inclusion_probability, asked.arrived_at) == (0.25, NOON + 2 * HOUR)
    report = a_truth(received_h=7, sequence=3)
    (known_anyway,) = paired_outcomes([(a_pair(), [answer, report])])
    assert known_anyway.source is TruthSource.ADJUDICATION
    assert (known_anyway.inclusion_probability, known_anyway.arrived_at) == (1.0, NOON + 7 * HOUR)
    unsure = a_truth(label=UNSURE, sequence=3)
    (still_asked,) = paired_outcomes([(a_pair(), [answer, unsure])])
    assert still_asked.inclusion_probability == 0.25


def test_an_answer_that_another_pair_asked_for_does_not_count_for_one_that_was_not_chosen() -> None:
    answer = a_truth(TruthSource.ADJUDICATION, label=ABSENT, from_queue=True)
    assert paired_outcomes([(a_pair(is_selected=False), [answer])]) == ()
    (outcome,) = paired_outcomes([(a_pair(is_selected=False), [answer, a_truth(sequence=2)])])
    assert outcome.truth is PRESENT, "the report is all that is known of it"


def test_a_measurement_is_told_as_its_distance_from_the_truth() -> None:
    truth = Truth(TruthSource.REPORT, NOON, NOON, 1, value=100.0)
    pair = a_pair(champion_value=104.0, candidate_value=None)
    (outcome,) = measured_outcomes([(pair, [truth])])
    assert (outcome.champion_error, outcome.candidate_error, outcome.truth) == (4.0, None, 100.0)
    assert paired_outcomes([(pair, [truth])]) == ()


pairs = st.lists(
    st.tuples(
        st.builds(
            lambda patient, paired_h, number, selected: replace(
                a_pair(f"p{patient}", paired_h, is_selected=selected), id=f"pair-{number}"
            ),
            st.integers(1, 4),
            hours,
            st.integers(0, 99),
            st.booleans(),
        ),
        several,
    ),
    max_size=6,
    unique_by=lambda each: each[0].id,
)


@given(pairs, st.randoms(use_true_random=False), st.integers(0, 31))
def test_a_recomputation_is_the_same_to_the_last_bit(
    known: list[tuple[PairedReading, Sequence[Truth]]], shuffled: random.Random, hour: int
) -> None:
    order = [(pair, shuffled.sample(told, len(told))) for pair, told in known]
    shuffled.shuffle(order)
    for as_of in (None, NOON + hour * HOUR):
        assert paired_outcomes(order, as_of) == paired_outcomes(known, as_of)


@given(pairs, st.integers(0, 31), st.integers(0, 31))
def test_what_comes_later_stands_later(
    known: list[tuple[PairedReading, Sequence[Truth]]], one: int, other: int
) -> None:
    """Of the outcomes at an earlier moment some may be gone at a later one; none was put in between."""
    earlier, later = sorted((NOON + one * HOUR, NOON + other * HOUR))
    before = paired_outcomes(known, earlier)
    after = [outcome for outcome in paired_outcomes(known, later) if outcome.arrived_at <= earlier]
    assert [outcome for outcome in before if outcome in after] == after


@given(pairs, st.none() | st.integers(0, 31))
def test_no_patient_counts_twice(
    known: list[tuple[PairedReading, Sequence[Truth]]], hour: int | None
) -> None:
    as_of = None if hour is None else NOON + hour * HOUR
    patients = [outcome.patient for outcome in paired_outcomes(known, as_of)]
    assert len(patients) == len(set(patients))
