"""A trajectory goes where `update_all` goes, one observation after the other, and keeps what a plot needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.evidence.metric_state import harm_log10_e, start, update_all
from canary.evidence.observations import AssignedStudy, DiagnosisPair, FailurePair, Observation, ScorePair
from canary.evidence.thinning import thin
from canary.evidence.trajectory import Point, accumulate, first_crossing, replay

NON_INFERIORITY: dict[str, Any] = {
    "hypothesis": Hypothesis.NON_INFERIORITY,
    "margin": 0.05,
    "justification": "two readers differ by that much",
}
SPECS = (
    MetricSpec(
        name="sensitivity", kind=MetricKind.SENSITIVITY, strata=("site",), max_strata=2, **NON_INFERIORITY
    ),
    MetricSpec(name="shadow", kind=MetricKind.SHADOW_FAILURES),
    MetricSpec(name="canary", kind=MetricKind.CANARY_FAILURES, strata=("site",)),
    MetricSpec(name="slo", kind=MetricKind.FAILURES_OVER_SLO, slo=0.02),
    MetricSpec(name="auc", kind=MetricKind.AUC, planned_looks=(3, 5)),
)
STRATA = st.sampled_from([(), ("site=a",), ("site=b",), ("site=c",)])
OBSERVATIONS = st.lists(
    st.builds(
        DiagnosisPair,
        positive=st.booleans(),
        candidate_positive=st.sampled_from([True, False, None]),
        champion_positive=st.booleans(),
        strata=STRATA,
    )
    | st.builds(FailurePair, candidate_failed=st.booleans(), champion_failed=st.booleans(), strata=STRATA)
    | st.builds(
        AssignedStudy,
        in_canary=st.booleans(),
        failed=st.booleans(),
        weight_bp=st.sampled_from([0, 500, 10_000]),
        strata=STRATA,
    )
    | st.builds(
        ScorePair, positive=st.booleans(), candidate_score=st.floats(0, 1), champion_score=st.floats(0, 1)
    ),
    max_size=40,
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@given(observations=OBSERVATIONS)
def test_it_ends_where_one_update_of_all_ends_to_the_last_bit(
    spec: MetricSpec, observations: Sequence[Observation]
) -> None:
    whole = update_all(spec, start(spec), observations)
    found = replay(spec, start(spec), observations, whole)
    assert (found.state, found.agrees) == (whole, True)
    assert list(accumulate(spec, start(spec), observations))[-1] == whole
    if spec.kind is not MetricKind.AUC:
        assert found.trajectory.harm[-1] == (found.trajectory.observations, harm_log10_e(spec, whole))
        assert max(point.log10_e for point in found.trajectory.harm) == whole.harm_peak
        assert {name: points[-1].log10_e for name, points in found.trajectory.strata} == {
            name: seen.harm.log10_e for name, seen in whole.strata
        }


@given(observations=OBSERVATIONS, later=OBSERVATIONS)
def test_what_came_after_the_kept_state_is_left_out(
    observations: Sequence[Observation], later: Sequence[Observation]
) -> None:
    spec = SPECS[0]
    kept = update_all(spec, start(spec), observations)
    found = replay(spec, start(spec), [*observations, *later], kept)
    assert (found.state, found.agrees) == (kept, True)
    assert found.trajectory == replay(spec, start(spec), observations, kept).trajectory


def test_a_kept_state_that_the_rows_do_not_give_is_told() -> None:
    spec, missed = SPECS[0], DiagnosisPair(positive=True, candidate_positive=False, champion_positive=True)
    kept = update_all(spec, start(spec), [missed, missed])
    found = replay(spec, start(spec), [missed], kept)
    assert (found.agrees, found.trajectory.observations) == (False, 1)
    assert replay(spec, start(spec), [missed], None).agrees is None


def test_a_guardrail_has_no_series_of_non_inferiority_and_a_planned_metric_has_none_at_all() -> None:
    failed = FailurePair(candidate_failed=True, champion_failed=False)
    guardrail = replay(SPECS[1], start(SPECS[1]), [failed], None).trajectory
    assert (len(guardrail.harm), guardrail.non_inferiority) == (2, ())
    score = ScorePair(positive=True, candidate_score=0.5, champion_score=0.5)
    planned = replay(SPECS[4], start(SPECS[4]), [score], None).trajectory
    assert (planned.observations, planned.harm, planned.non_inferiority) == (1, (), ())


# ---- fewer points

SERIES = st.lists(st.floats(-50, 50), min_size=1, max_size=400).map(
    lambda values: tuple(Point(number, value) for number, value in enumerate(values))
)


@given(points=SERIES, most=st.integers(8, 60), limit=st.floats(-20, 20))
def test_few_points_keep_ends_extremes_and_the_first_crossing(
    points: tuple[Point, ...], most: int, limit: float
) -> None:
    kept = thin(points, most, [limit])
    assert len(kept) <= most
    assert list(kept) == [point for point in points if point in set(kept)]
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    values = [point.log10_e for point in points]
    assert {min(values), max(values)} <= {point.log10_e for point in kept}
    assert first_crossing(kept, limit) == first_crossing(points, limit)


def test_a_short_series_stays_as_it_is() -> None:
    points = tuple(Point(number, 0.1 * number) for number in range(8))
    assert thin(points, 8, [0.3]) == points


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        thin((Point(0, 0.0), Point(1, 2.0)), 4, [1.0])


def test_the_first_crossing_is_the_first_point_at_the_limit() -> None:
    points = [Point(0, 0.0), Point(1, 1.9), Point(2, 2.0), Point(3, 1.0), Point(4, 3.0)]
    assert (first_crossing(points, 2.0), first_crossing(points, 3.1)) == (2, None)
