"""What the benchmark computes on arrays is what the product does study by study; and its rules of others hold."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks.evidence import peers, serinus, worlds
from benchmarks.evidence.worlds import CanaryWorld
from canary.evidence.measure import measure
from canary.evidence.metric import MetricKind, MetricPhase, MetricSpec
from canary.evidence.metric_state import start, update
from canary.evidence.observations import AssignedStudy, DiagnosisPair, FailurePair, Observation
from tests.unit.canary.evidence.metrics import spec_of


def stop_of(spec: MetricSpec, studies: Iterable[Observation], phase: MetricPhase) -> float:
    """The study after which the product's verdict is first the one that is asked for."""
    state = start(spec)
    for number, study in enumerate(studies, start=1):
        before, state = state, update(spec, state, study)
        if state is not before and measure(spec, state).phase is phase:
            return float(number)
    return math.inf


def test_the_canary_stops_where_the_product_stops_through_a_ramp() -> None:
    rng = np.random.default_rng(1)
    (world,) = worlds.canary_worlds(rng, 4, 0.01, 0.06, worlds.ramp((500, 2_500), 3))
    spec = spec_of(MetricKind.CANARY_FAILURES, alpha_harm=0.05)
    columns = (world.in_canary, world.failed)
    by_product = [
        stop_of(
            spec,
            (
                AssignedStudy(in_canary=bool(c), failed=bool(f), weight_bp=int(w))
                for c, f, w in zip(*rows, world.weight_bp, strict=True)
            ),
            MetricPhase.FAILED,
        )
        for rows in zip(*columns, strict=True)
    ]
    assert list(serinus.canary_stops(world, 0.05)) == by_product
    assert any(np.isfinite(by_product))


def test_the_shadow_stops_where_the_product_stops() -> None:
    (world,) = worlds.shadow_worlds(np.random.default_rng(2), 4, 900, 0.01, 0.05, 0.5)
    spec = spec_of(MetricKind.SHADOW_FAILURES, alpha_harm=0.01)
    by_product = [
        stop_of(
            spec,
            (
                FailurePair(candidate_failed=bool(a), champion_failed=bool(b))
                for a, b in zip(*rows, strict=True)
            ),
            MetricPhase.FAILED,
        )
        for rows in zip(world.candidate_failed, world.champion_failed, strict=True)
    ]
    assert list(serinus.shadow_stops(world, 0.01)) == by_product
    assert any(np.isfinite(by_product))


def test_non_inferiority_is_shown_where_the_product_shows_it() -> None:
    (runs,) = worlds.differences(np.random.default_rng(3), 4, 700, 0.03, 0.03)
    spec = spec_of(MetricKind.SENSITIVITY, alpha_harm=1e-9)
    by_product = [
        stop_of(
            spec,
            (DiagnosisPair(positive=True, candidate_positive=d >= 0, champion_positive=d <= 0) for d in row),
            MetricPhase.SUCCESSFUL,
        )
        for row in runs
    ]
    assert list(serinus.non_inferiority_stops(runs, 0.05, 0.025)) == by_product
    assert any(np.isfinite(by_product))


def test_rates_of_a_shadow_are_those_that_were_asked_for() -> None:
    made = list(worlds.shadow_worlds(np.random.default_rng(4), 50, 20_000, 0.01, 0.03, 0.75))
    candidate = np.mean([world.candidate_failed.mean() for world in made])
    both = np.mean([(world.candidate_failed & world.champion_failed).mean() for world in made])
    assert candidate == pytest.approx(0.03, abs=0.001)
    assert both == pytest.approx(0.01 * (0.75 + 0.25 * (0.03 - 0.0075) / 0.9925), abs=0.0006)


def windows(
    canary: list[int], failed: list[int], champion: int = 95, champion_failed: int = 1
) -> peers.Windows:
    n = len(canary)
    return peers.Windows(
        np.array([canary]),
        np.array([failed]),
        np.full((1, n), champion),
        np.full((1, n), champion_failed),
        np.arange(1, n + 1) * 100,
    )


def test_argo_aborts_at_the_fourth_failed_window_and_skips_empty_ones() -> None:
    assert peers.argo_rollouts(windows([5, 0, 5, 5, 5, 5], [1, 0, 1, 1, 0, 1]))[0] == 600
    assert peers.argo_rollouts(windows([5, 0, 5, 5, 0, 5], [1, 0, 1, 1, 0, 0]))[0] == math.inf


def test_flagger_aborts_at_the_tenth_failed_check_and_counts_empty_ones() -> None:
    assert peers.flagger(windows([0] * 10, [0] * 10))[0] == 1_000
    assert peers.flagger(windows([5] * 20, [0] * 20))[0] == math.inf


def test_ten_minutes_without_a_study_end_a_canary_of_flaggers_example() -> None:
    (world,) = worlds.canary_worlds(np.random.default_rng(5), 50, 0.0, 0.0, worlds.constant(500, 1))
    assert np.median(peers.flagger_each_minute(world)) <= 4  # of 3.6 minutes each


def test_kayenta_sees_frequent_failures_of_full_points_and_none_in_rare_ones() -> None:
    kayenta = {"first": 20, "every": 1}
    assert peers.kayenta(windows([20] * 30, [2, 3] * 15), **kayenta)[0] == 2_000
    assert peers.kayenta(windows([1] * 30, [0, 0, 1] * 10), **kayenta)[0] == math.inf


def test_z_tests_look_at_all_that_came_so_far() -> None:
    assert peers.daily_z_test(windows([20] * 40, [0, 3] + [1] * 38))[0] == 200
    assert peers.obrien_fleming(windows([20] * 40, [0, 3] + [0] * 38))[0] == math.inf


def test_windows_lose_no_study() -> None:
    (world,) = worlds.canary_worlds(np.random.default_rng(6), 3, 0.05, 0.2, worlds.constant(1_000, 2))
    for per_day in (1, 24):
        found = peers.windows_of(world, per_day)
        assert found.canary.shape == (3, 2 * per_day)
        assert (found.canary.sum(axis=1) == world.in_canary.sum(axis=1)).all()
        assert (found.canary_failed.sum(axis=1) == (world.in_canary & world.failed).sum(axis=1)).all()
        assert (found.champion_failed.sum(axis=1) == (~world.in_canary & world.failed).sum(axis=1)).all()
        assert (found.champion + found.canary).sum() == world.failed.size


def test_a_run_that_never_stops_is_infinite() -> None:
    quiet = CanaryWorld(
        np.zeros((2, 400), bool),
        np.zeros((2, 400), bool),
        worlds.constant(500, 1),
        np.zeros((2, 400), np.int32),
    )
    assert list(serinus.canary_stops(quiet, 0.05)) == [math.inf, math.inf]
