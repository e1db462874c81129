"""Drift against what was really there: discordance, calibration, and performance from an audit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.drift import discordance as arrays
from core.mixture import Mixture
from observability.drift.audited import (
    AuditableStudy,
    AuditedPerformance,
    _weighed_poisson,
    audited_performance,
)
from observability.drift.blind_spot import blind_spots
from observability.drift.calibration import BETS, Outcome, calibration_evidence
from observability.drift.detector import null_of, watched
from observability.drift.discordance import Compared, DiscordanceWatch
from tests.unit.observability.drift.sites import SHARES

WATCH = DiscordanceWatch(base_rate=0.031, arl_slices=3_650)


def days(rng: np.random.Generator, rate: float, count: int, streams: int) -> tuple[np.ndarray, np.ndarray]:
    studies = rng.poisson(29, (streams, count))
    return studies, rng.binomial(studies, rate)


def test_a_year_without_change_alarms_no_more_often_than_once_in_ten_years() -> None:
    studies, discordant = days(np.random.default_rng(1), 0.031, 365, 400)
    assert np.isfinite(arrays.serinus(studies, discordant)).mean() <= 0.1 + 4 * math.sqrt(0.09 / 400)


@given(seed=st.integers(0, 200), rate=st.sampled_from([0.031, 0.06, 0.1]))
def test_the_benchmark_alarms_on_the_same_day_as_the_product(seed: int, rate: float) -> None:
    studies, discordant = days(np.random.default_rng(seed), rate, 40, 1)
    slices = [Compared(int(n), int(x)) for n, x in zip(studies[0], discordant[0], strict=True)]
    day = arrays.serinus(studies, discordant)[0]
    assert WATCH.alarms_at(slices) == (int(day) if math.isfinite(day) else None)


def test_a_doubled_discordance_is_found_within_a_month_and_a_halved_one_is_found_too() -> None:
    rng = np.random.default_rng(4)
    assert np.median(arrays.serinus(*days(rng, 0.062, 120, 100))) < 30
    assert np.isfinite(arrays.serinus(*days(rng, 0.0155, 365, 40))).mean() > 0.9


def test_days_without_a_comparison_are_no_evidence() -> None:
    path = WATCH.trajectory([Compared(0, 0)] * 5)
    assert path == pytest.approx([math.log10(day) for day in range(1, 6)])


def outcomes(
    rng: np.random.Generator, count: int, *, slope: float = 1.0, shift: float = 0.0
) -> list[Outcome]:
    said = rng.beta(1, 3, count)
    logit = shift + slope * np.log(said / (1 - said))
    return [
        Outcome(float(p), bool(hit))
        for p, hit in zip(said, rng.random(count) < 1 / (1 + np.exp(-logit)), strict=True)
    ]


def test_a_calibrated_model_seldom_looks_otherwise_at_any_time() -> None:
    rng, alarms = np.random.default_rng(9), 0
    for _ in range(100):
        evidence, reached = Mixture.start(len(BETS)), False
        for outcome in outcomes(rng, 60):
            evidence = calibration_evidence([outcome], evidence)
            reached = reached or evidence.log10_e >= 1.0
        alarms += reached
    assert alarms / 100 <= 0.1 + 4 * math.sqrt(0.09 / 100)


@given(probability=st.floats(0, 1))
def test_each_bet_is_fair_whatever_score_was_said(probability: float) -> None:
    present = calibration_evidence([Outcome(probability, True)])
    absent = calibration_evidence([Outcome(probability, False)])
    for yes, no in zip(present.log_e, absent.log_e, strict=True):
        assert probability * math.exp(yes) + (1 - probability) * math.exp(no) == pytest.approx(1.0)


@pytest.mark.parametrize(("slope", "shift"), [(0.4, 0.0), (1.0, 1.2), (1.0, -1.2), (2.5, 0.0)])
def test_a_model_that_is_too_sure_or_off_is_found(slope: float, shift: float) -> None:
    seen = outcomes(np.random.default_rng(6), 600, slope=slope, shift=shift)
    assert calibration_evidence(seen).log10_e > 2.0


def test_evidence_goes_on_where_it_stopped() -> None:
    seen = outcomes(np.random.default_rng(6), 40)
    assert calibration_evidence(seen[20:], calibration_evidence(seen[:20])) == calibration_evidence(seen)


def period(rng: np.random.Generator, studies: int = 700, tilt: float = 1.0) -> list[AuditableStudy]:
    """Positive answers are all asked about, of the others one in seven; `tilt`: how wrong the scores are."""
    truth = rng.random(studies) < 0.2
    score = np.clip(rng.normal(np.where(truth, 0.7, 0.25), 0.2), 0.01, 0.99)
    return [
        AuditableStudy(p >= 0.5, float(p) ** tilt, pi, bool(ill) if rng.random() < pi else None)
        for p, ill in zip(score, truth, strict=True)
        for pi in [1.0 if p >= 0.5 else 0.15]
    ]


@pytest.mark.parametrize("tilt", [1.0, 3.0])
def test_intervals_from_a_queue_of_positive_answers_cover_what_is_true(tilt: float) -> None:
    """Sensitivity is Φ(1) and PPV follows from it, however wrong the scores are. 4 standard errors of 60 are 11 %."""
    rng = np.random.default_rng(12)
    sensitivity, wrong = 0.8413, 0.1056
    ppv = 0.2 * sensitivity / (0.2 * sensitivity + 0.8 * wrong)
    found = [audited_performance(period(rng, tilt=tilt)) for _ in range(60)]
    for name, truth in (("prevalence", 0.2), ("sensitivity", sensitivity), ("ppv", ppv)):
        estimates = [getattr(one, name) for one in found]
        assert np.mean([one is not None and one.low <= truth <= one.high for one in estimates]) >= 0.84, name


@given(count=st.integers(0, 40), weight=st.floats(1, 20))
def test_the_bounds_of_missed_findings_are_those_of_a_poisson_count_where_all_weigh_the_same(
    count: int, weight: float
) -> None:
    low, high = _weighed_poisson(np.full(count, weight), weight, 0.95)
    assert low == pytest.approx(weight * stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0)
    assert high == pytest.approx(weight * stats.chi2.ppf(0.975, 2 * count + 2) / 2)


def test_counting_the_queue_alone_would_be_far_off() -> None:
    rng = np.random.default_rng(12)
    studies = period(rng, 3_000)
    asked = [study for study in studies if study.is_present is not None]
    naive = np.mean([study.is_present for study in asked])
    found = audited_performance(studies)
    assert found.prevalence is not None
    assert naive > 0.4
    assert found.prevalence.high < 0.25


def test_an_audit_of_nearly_all_positive_answers_says_what_it_lacks() -> None:
    rng = np.random.default_rng(3)
    truths = [True] * 40 + [False] * 20
    studies = [AuditableStudy(True, 0.7, 1.0, truth) for truth in truths]
    studies += [AuditableStudy(False, 0.1, 0.05, False if rng.random() < 0.05 else None) for _ in range(200)]
    assert "audited studies were answered negative" in audited_performance(studies).caution


def test_a_small_audit_says_nothing() -> None:
    studies = [AuditableStudy(True, 0.7, 1.0, True)] * 9 + [AuditableStudy(False, 0.1, 1.0, False)] * 40
    assert audited_performance(studies) == AuditedPerformance(
        49,
        49,
        None,
        None,
        None,
        "The audit knows 9 present and 40 absent findings, of which it needs 10 each.",
    )


def test_more_weeks_and_more_studies_see_smaller_drifts() -> None:
    rng = np.random.default_rng(7)
    null = null_of(rng.multinomial(50, SHARES["spacing"], size=200), is_ordered=True)
    few, many = (
        blind_spots("spacing", null, studies_per_slice=n, slices_per_week=7, log_limit=math.log(36_500))
        for n in (5, 50)
    )
    assert [spot.studies for spot in few] == [35, 140, 420]
    for spots in (few, many):
        common = [spot.into_common or 2.0 for spot in spots]
        rare = [spot.into_rare or 2.0 for spot in spots]
        assert common == sorted(common, reverse=True)
        assert all(into_rare <= into_common for into_rare, into_common in zip(rare, common, strict=True))
    assert many[0].into_rare is not None
    assert many[2].into_rare < (few[2].into_rare or 2.0)


def test_a_blind_spot_is_the_drift_that_the_detector_just_finds() -> None:
    rng = np.random.default_rng(7)
    q = np.asarray(SHARES["spacing"])
    null = null_of(rng.multinomial(50, q, size=200), is_ordered=True)
    spot = blind_spots("spacing", null, studies_per_slice=50, slices_per_week=7, log_limit=math.log(1e4))[1]
    assert spot.into_common is not None
    moved = (1 - spot.into_common) * q + spot.into_common * np.eye(6)[int(np.argmax(null.shares))]
    found = watched(null, rng.multinomial(50, moved, size=(80, 28))).log_m >= math.log(1e4)
    assert 0.25 <= found.any(1).mean() <= 0.95
