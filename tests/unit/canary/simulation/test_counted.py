"""Evidence from counts is the product's evidence of the same studies one by one, up to rounding."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.measure import measure
from canary.evidence.metric import Evidence, MetricKind, MetricSpec
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import AssignedStudy, DiagnosisPair, FailurePair, Observation
from canary.simulation.counted import COUNTED, CountedMetric
from canary.simulation.studies import NO_PAIRS, NOTHING, Answered, Pairs
from tests.unit.canary.evidence.metrics import spec_of

few = st.integers(0, 6)
counts = st.tuples(
    few, few, few, few
)  # both right, only the candidate wrong, only the champion wrong, both wrong
QUIET = Answered()
NO_TRUTHS = NOTHING, NOTHING


def counted(spec: MetricSpec) -> CountedMetric:
    return CountedMetric(spec)


def assert_same(found: CountedMetric, studies: Iterable[Observation]) -> None:
    spec, product = found.spec, update_all(found.spec, start(found.spec), studies)
    assert_same_evidence(found.state.overall, product.overall)
    for (name, one), (other_name, other) in zip(found.state.strata, product.strata, strict=True):
        assert name == other_name
        assert_same_evidence(one, other)
    assert found.state.harm_peak <= product.harm_peak + 1e-9  # the product looks after each study
    mine, theirs = measure(spec, found.state), measure(spec, product)
    assert (mine.observed, mine.candidate_events, mine.champion_events) == (
        theirs.observed,
        theirs.candidate_events,
        theirs.champion_events,
    )


def assert_same_evidence(one: Evidence, other: Evidence) -> None:
    assert one.harm.log_e == pytest.approx(other.harm.log_e, abs=1e-9)
    assert one.non_inferiority.log_e == pytest.approx(other.non_inferiority.log_e, abs=1e-9)
    assert (one.observed, one.expected_bp) == (other.observed, other.expected_bp)
    assert one.differences.count == other.differences.count
    assert one.differences.mean == pytest.approx(other.differences.mean, abs=1e-9)
    assert one.differences.squares == pytest.approx(other.differences.squares, abs=1e-6)


def diagnoses(positive: bool, found: tuple[int, int, int, int]) -> list[Observation]:
    answers = ((True, True), (False, True), (True, False), (False, False))  # candidate and champion are right
    return [
        DiagnosisPair(
            positive=positive,
            candidate_positive=positive if candidate else not positive,
            champion_positive=positive if champion else not positive,
        )
        for number, (candidate, champion) in zip(found, answers, strict=True)
        for _ in range(number)
    ]


@pytest.mark.parametrize("strata", [(), ("scanner", "site")])
@pytest.mark.parametrize("kind", [MetricKind.SENSITIVITY, MetricKind.SPECIFICITY])
@given(stretches=st.lists(st.tuples(counts, counts), max_size=5), tolerance=st.sampled_from([0.0, 0.01]))
def test_truths_count_for_the_metric_of_their_own(
    kind: MetricKind,
    strata: tuple[str, ...],
    stretches: list[tuple[tuple[int, int, int, int], tuple[int, int, int, int]]],
    tolerance: float,
) -> None:
    found = counted(spec_of(kind, tolerance=tolerance, strata=strata))
    studies: list[Observation] = []
    for positive, negative in stretches:
        found.take(QUIET, NO_PAIRS, 0, (np.array(positive), np.array(negative)))
        studies += [*diagnoses(True, positive), *diagnoses(False, negative)]
    assert_same(found, studies)


@given(stretches=st.lists(counts, max_size=5))
def test_failures_are_paired(stretches: list[tuple[int, int, int, int]]) -> None:
    found = counted(spec_of(MetricKind.SHADOW_FAILURES, tolerance=0.02))
    studies: list[Observation] = []
    for stretch in stretches:
        well, candidate, champion, both = stretch
        pairs = Pairs(sum(stretch), candidate, NOTHING, NOTHING, champion_failed=champion, both_failed=both)
        found.take(QUIET, pairs, 0, NO_TRUTHS)
        for number, failed in ((well, (False, False)), (candidate, (True, False))):
            studies += [FailurePair(candidate_failed=failed[0], champion_failed=failed[1])] * number
        studies += [FailurePair(candidate_failed=False, champion_failed=True)] * champion
        studies += [FailurePair(candidate_failed=True, champion_failed=True)] * both
    assert_same(found, studies)


weights = st.sampled_from([0, 500, 2_500, 10_000])


@pytest.mark.parametrize("strata", [(), ("site",)])
@pytest.mark.parametrize("kind", [MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO])
@given(stretches=st.lists(st.tuples(weights, st.integers(0, 30), few, few), max_size=6))
def test_a_canary_fails_at_the_weight_of_its_stretch(
    kind: MetricKind, strata: tuple[str, ...], stretches: list[tuple[int, int, int, int]]
) -> None:
    found = counted(spec_of(kind, strata=strata))
    studies: list[Observation] = []
    for weight_bp, well, failed, champion_failed in stretches:
        canary = (0, 0) if weight_bp == 0 else (well + failed, failed)
        champions = 0 if weight_bp == 10_000 else champion_failed
        found.take(Answered(*canary, champions, 0), NO_PAIRS, weight_bp, NO_TRUTHS)
        if weight_bp:  # without one nobody is drawn for two arms
            drawn = [(True, False)] * well + [(True, True)] * failed + [(False, True)] * champions
            studies += [AssignedStudy(in_canary=c, failed=f, weight_bp=weight_bp) for c, f in drawn]
    assert_same(found, studies)


@pytest.mark.parametrize("kind", sorted(set(MetricKind) - COUNTED))
def test_a_kind_without_studies_is_refused(kind: MetricKind) -> None:
    with pytest.raises(ValueError, match=kind):
        counted(spec_of(kind))


def test_a_stretch_without_studies_changes_nothing() -> None:
    for kind in COUNTED:
        found = counted(spec_of(kind, strata=("site",)))
        found.take(QUIET, NO_PAIRS, 500, NO_TRUTHS)
        assert found.state == start(found.spec)
