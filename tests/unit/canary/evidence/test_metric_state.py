"""What is known of a metric depends on its studies and their order alone, and survives a restart to the last bit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.evidence.metric import Evidence, Hypothesis, MetricKind, MetricSpec, MetricState
from canary.evidence.metric_state import OTHER_STRATA, harm_log10_e, start, update, update_all
from canary.evidence.observations import (
    AssignedStudy,
    DiagnosisPair,
    FailurePair,
    LatencyPair,
    MeasurementPair,
    Observation,
    OverlapPair,
    ScorePair,
)
from canary.evidence.storage import from_json, to_json
from tests.unit.canary.evidence.metrics import ERRORS, SENSITIVITY, SHADOW_ERRORS, pair, positive, spec_of
from tests.unit.canary.evidence.sequences import expected_e

flags = st.booleans()
answers = st.none() | flags
ms = st.floats(1, 1e5)
shares = st.floats(0, 1)
labels = st.sampled_from([(), ("scanner=A",), ("scanner=B",), ("scanner=C", "site=1")])
observations = st.one_of(
    st.builds(AssignedStudy, in_canary=flags, failed=flags, weight_bp=st.integers(0, 10_000), strata=labels),
    st.builds(FailurePair, candidate_failed=flags, champion_failed=flags, strata=labels),
    st.builds(
        DiagnosisPair, positive=flags, candidate_positive=answers, champion_positive=answers, strata=labels
    ),
    st.builds(OverlapPair, candidate_dice=st.none() | shares, champion_dice=shares, strata=labels),
    st.builds(MeasurementPair, candidate=ms, champion=st.none() | ms),
    st.builds(LatencyPair, candidate_ms=ms, champion_ms=ms, strata=labels),
    st.builds(ScorePair, positive=flags, candidate_score=st.none() | shares, champion_score=shares),
)
specs = st.sampled_from(
    [
        spec_of(
            kind, **({} if kind in (MetricKind.AUC, MetricKind.MEASUREMENT) else {"strata": ("scanner",)})
        )
        for kind in MetricKind
    ]
)


@given(spec=specs, studies=st.lists(observations, max_size=40), restart=st.integers(0, 60))
def test_a_restart_changes_no_bit(spec: MetricSpec, studies: list[Observation], restart: int) -> None:
    saved = json.dumps(to_json(update_all(spec, start(spec), studies[:restart])), allow_nan=False)
    assert update_all(spec, from_json(json.loads(saved)), studies[restart:]) == update_all(
        spec, start(spec), studies
    )


@given(spec=specs, studies=st.lists(observations, max_size=40))
def test_the_peak_of_harm_is_the_highest_that_a_look_after_each_study_sees(
    spec: MetricSpec, studies: list[Observation]
) -> None:
    state, seen = start(spec), [0.0]
    for study in studies:
        state = update(spec, state, study)
        seen.append(harm_log10_e(spec, state))
    assert state.harm_peak == max(seen)


@pytest.mark.parametrize("kind", MetricKind)
def test_a_metric_reads_its_own_studies_and_no_others(kind: MetricKind) -> None:
    read = {
        MetricKind.CANARY_FAILURES: AssignedStudy(in_canary=True, failed=True, weight_bp=500),
        MetricKind.FAILURES_OVER_SLO: AssignedStudy(in_canary=True, failed=True, weight_bp=500),
        MetricKind.SHADOW_FAILURES: pair(True, False),
        MetricKind.SENSITIVITY: positive(False, True),
        MetricKind.SPECIFICITY: DiagnosisPair(
            positive=False, candidate_positive=True, champion_positive=False
        ),
        MetricKind.DICE: OverlapPair(candidate_dice=0.8, champion_dice=0.9),
        MetricKind.MEASUREMENT: MeasurementPair(candidate=10.0, champion=11.0),
        MetricKind.LATENCY: LatencyPair(candidate_ms=200.0, champion_ms=100.0),
        MetricKind.AUC: ScorePair(positive=True, candidate_score=0.5, champion_score=0.6),
    }
    spec, empty = spec_of(kind), start(spec_of(kind))
    for other, study in read.items():
        observed = update(spec, empty, study).overall.observed
        arms = {MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO}
        assert observed == (other is kind or {other, kind} == arms)


@pytest.mark.parametrize("kind", [MetricKind.SENSITIVITY, MetricKind.SPECIFICITY])
def test_no_answer_is_a_wrong_answer(kind: MetricKind) -> None:
    spec, truth = spec_of(kind), kind is MetricKind.SENSITIVITY
    silent = DiagnosisPair(positive=truth, candidate_positive=None, champion_positive=truth)
    wrong = DiagnosisPair(positive=truth, candidate_positive=not truth, champion_positive=truth)
    assert update(spec, start(spec), silent) == update(spec, start(spec), wrong)
    assert update(spec, start(spec), silent).overall.candidate_events == 1


def test_a_segmentation_that_failed_overlaps_with_nothing() -> None:
    spec = spec_of(MetricKind.DICE)
    failed = update(spec, start(spec), OverlapPair(candidate_dice=None, champion_dice=0.9)).overall
    assert failed.differences.mean == -0.9
    assert failed.candidate_events == 1


def test_a_measurement_that_is_missing_is_counted_and_measures_nothing() -> None:
    spec = spec_of(MetricKind.MEASUREMENT)
    seen = update(spec, start(spec), MeasurementPair(candidate=None, champion=9.0)).overall
    assert (seen.observed, seen.candidate_events, seen.champion_events) == (0, 1, 0)


def test_a_relative_difference_is_a_share_of_the_mean() -> None:
    spec = spec_of(MetricKind.MEASUREMENT, relative=True)
    seen = update(spec, start(spec), MeasurementPair(candidate=110.0, champion=90.0)).overall
    assert seen.differences.mean == pytest.approx(0.2)


def test_two_versions_that_find_nothing_do_not_differ_and_one_that_finds_something_does() -> None:
    spec = spec_of(MetricKind.MEASUREMENT, relative=True)
    pairs = [MeasurementPair(candidate=ml, champion=0.0) for ml in (0.0, 4.0)]
    seen = [update(spec, start(spec), pair).overall.differences.mean for pair in pairs]
    assert seen == [0.0, 2.0]


def test_the_errors_that_chance_explains_are_counted_by_the_weight_of_their_moment() -> None:
    ramp = [(500, True), (2_500, False), (5_000, True)]
    studies = [AssignedStudy(in_canary=canary, failed=True, weight_bp=weight) for weight, canary in ramp]
    seen = update_all(ERRORS, start(ERRORS), studies).overall
    assert (seen.expected_bp, seen.candidate_events, seen.champion_events) == (8_000, 2, 1)


STRATIFIED = spec_of(MetricKind.SENSITIVITY, strata=("scanner", "site"), max_strata=2)


def test_a_study_that_names_no_stratum_is_of_an_unknown_one() -> None:
    state = update(STRATIFIED, start(STRATIFIED), positive(True, True, "scanner=A"))
    assert [name for name, _ in state.strata] == ["scanner=A", "site=unknown"]


def test_strata_beyond_the_planned_number_are_judged_together() -> None:
    studies = [positive(True, True, f"scanner={s}", "site=1") for s in "ABCD"]
    strata = dict(update_all(STRATIFIED, start(STRATIFIED), studies).strata)
    assert {name: seen.observed for name, seen in strata.items()} == {
        "scanner=A": 1,
        "site=1": 4,
        OTHER_STRATA: 3,
    }


@settings(max_examples=10)
@given(worse=st.floats(0, 0.4), share_of_b=st.floats(0, 1))
def test_strata_together_gain_nothing_under_the_null_also_as_they_appear(
    worse: float, share_of_b: float
) -> None:
    """Exactly, over all sequences of three pairs in two strata, of which either may come first or never."""
    spec = spec_of(
        MetricKind.SHADOW_FAILURES, hypothesis=Hypothesis.NO_HARM, strata=("scanner",), max_strata=2
    )
    outcomes = [(True, False, worse), (False, True, worse), (False, False, 1 - 2 * worse)]
    law = [
        (pair(candidate, champion, f"scanner={name}"), p * share)
        for candidate, champion, p in outcomes
        for name, share in (("A", 1 - share_of_b), ("B", share_of_b))
    ]

    def step(state: MetricState, study: FailurePair, _: int) -> MetricState:
        return update(spec, state, study)

    expected = expected_e([law] * 3, start(spec), step, lambda state: harm_log10_e(spec, state))
    assert expected == pytest.approx(1.0, abs=1e-9)


def test_harm_in_one_stratum_is_not_hidden_by_the_others() -> None:
    spec = spec_of(MetricKind.SHADOW_FAILURES, strata=("kernel",), max_strata=2)
    studies = [pair(False, True, "kernel=thick"), pair(True, False, "kernel=thin")] * 30
    state = update_all(spec, start(spec), studies)
    assert state.overall.harm.log10_e < 0
    assert harm_log10_e(spec, state) > 5


@given(first=st.lists(st.booleans(), max_size=20))
def test_one_more_miss_of_the_candidate_alone_raises_the_evidence_of_harm(first: list[bool]) -> None:
    before = update_all(SHADOW_ERRORS, start(SHADOW_ERRORS), [pair(c, not c) for c in first])
    worse = update(SHADOW_ERRORS, before, pair(True, False)).overall
    better = update(SHADOW_ERRORS, before, pair(False, True)).overall
    assert better.harm.log10_e < before.overall.harm.log10_e < worse.harm.log10_e


def test_studies_after_the_last_planned_look_are_no_part_of_it() -> None:
    spec = spec_of(MetricKind.MEASUREMENT, planned_looks=(2,))
    at_look = update_all(spec, start(spec), [MeasurementPair(candidate=1.0, champion=1.1)] * 2)
    assert update(spec, at_look, MeasurementPair(candidate=50.0, champion=1.0)) is at_look


@pytest.mark.parametrize(
    ("spec", "study"),
    [
        (spec_of(MetricKind.LATENCY), LatencyPair(candidate_ms=0.0, champion_ms=1.0)),
        (spec_of(MetricKind.DICE), OverlapPair(candidate_dice=1.1, champion_dice=1.0)),
        (spec_of(MetricKind.MEASUREMENT, relative=True), MeasurementPair(candidate=-1.0, champion=1.0)),
        (ERRORS, AssignedStudy(in_canary=True, failed=True, weight_bp=10_001)),
    ],
)
def test_a_study_that_cannot_be_is_refused(spec: MetricSpec, study: Observation) -> None:
    with pytest.raises(ValueError):
        update(spec, start(spec), study)


def test_a_state_is_a_few_numbers() -> None:
    """No list of studies, except an AUC's scores."""
    many = update_all(SENSITIVITY, start(SENSITIVITY), [positive(True, True)] * 500)
    assert len(json.dumps(to_json(many))) < 600
    assert isinstance(many.overall, Evidence)
