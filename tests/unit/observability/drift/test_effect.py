"""How large a drift is, against other ways to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from observability.drift.consequence import Consequence, consequence_of
from observability.drift.effect import effect_of, stability_index
from observability.drift.expected import AuditedPeriod, OperatingPoint, expected_of, honesty_of
from observability.drift.outlier import OUTLIER, outlier_rule
from observability.drift.signals import SignalGroup, SignalSpec
from tests.unit.observability.drift.sites import SCORE, SHARES, SPACING

RULER = SignalSpec("ruler", SignalGroup.PIXELS, edges=tuple(float(mm) for mm in range(0, 101)), unit="mm")
POINT = OperatingPoint("score", 2, probability=(0.0, 0.2, 0.5, 1.0))


def counts(signal: SignalSpec, values: np.ndarray) -> np.ndarray:
    return np.bincount([signal.bin_of(float(value)) for value in values], minlength=signal.bins)


@given(seed=st.integers(0, 999), move=st.floats(-20, 20))
def test_shift_and_distance_are_those_of_the_values_as_far_as_bins_tell(seed: int, move: float) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.uniform(30, 60, 300), rng.uniform(30, 60, 300) + move
    effect = effect_of(RULER, counts(RULER, before), counts(RULER, after))
    assert effect.shift == pytest.approx(after.mean() - before.mean(), abs=0.5)
    assert effect.distance == pytest.approx(stats.wasserstein_distance(before, after), abs=0.5)


def test_a_word_has_no_shift_and_what_is_missing_none_either() -> None:
    kernel = SignalSpec("kernel", SignalGroup.ACQUISITION, categories=("a", "b"))
    assert effect_of(kernel, np.array([9, 9, 0, 0]), np.array([9, 0, 0, 0])).shift is None
    assert effect_of(SPACING, np.array([9, 9, 9, 9, 9, 0]), np.array([0, 0, 0, 0, 0, 9])).shift is None


def test_the_stability_index_of_many_studies_is_the_textbook_sum() -> None:
    q, p = np.array([50_000, 30_000, 20_000]), np.array([40_000, 30_000, 30_000])
    textbook = -0.1 * np.log(0.4 / 0.5) + 0.1 * np.log(0.3 / 0.2)
    assert stability_index(q, p) == pytest.approx(textbook, abs=2e-4)


def test_chance_alone_has_no_stability_index_worth_speaking_of() -> None:
    rng = np.random.default_rng(8)
    found = [
        stability_index(rng.multinomial(10_000, SHARES["spacing"]), rng.multinomial(100, SHARES["spacing"]))
        for _ in range(400)
    ]
    assert np.mean(found) < 0.02
    assert stability_index(np.zeros(3, dtype=int), np.ones(3, dtype=int)) == 0.0


def test_the_bin_that_grew_is_named_first_with_what_was_expected() -> None:
    effect = effect_of(SCORE, np.array([600, 200, 100, 100, 0]), np.array([50, 20, 10, 20, 40]))
    assert effect.bins[0].label == "missing"
    assert effect.bins[0].studies == 40
    assert effect.bins[0].expected < 0.1
    assert effect.bins[0].log_bayes_factor > effect.bins[1].log_bayes_factor


def test_what_scores_let_expect_is_counted_by_hand() -> None:
    expected = expected_of(POINT, np.array([50, 20, 10, 20, 7]))
    assert expected.positive_rate == pytest.approx(30 / 100)
    assert expected.sensitivity == pytest.approx(25 / 29)
    assert expected.ppv == pytest.approx(25 / 30)


def test_without_calibration_or_scores_nothing_is_expected() -> None:
    scored = np.array([50, 20, 10, 20, 7])
    assert expected_of(OperatingPoint("score", 2), scored).sensitivity is None
    assert expected_of(POINT, np.array([0, 0, 0, 0, 7])).positive_rate is None
    assert expected_of(POINT, np.array([5, 0, 0, 0, 7])).sensitivity is None


def test_what_is_not_known_may_matter_and_what_is_known_to_be_small_does_not() -> None:
    assert Consequence().may_matter(0.5)
    assert Consequence(positive_rate=0.0).may_matter(0.5)
    assert not Consequence(0.01, 0.01, -0.01).may_matter(0.02)
    assert Consequence(0.01, -0.03, 0.01).may_matter(0.02)


def test_a_consequence_is_told_in_points() -> None:
    change = consequence_of(POINT, np.array([50, 20, 10, 20, 0]), np.array([70, 20, 10, 0, 0]))
    assert change.in_words() == (
        "expected from the scores alone: sensitivity −30.7 points, PPV −33.3 points, positive answers −20.0 points"
    )
    assert consequence_of(None, np.zeros(5, dtype=int), np.zeros(5, dtype=int)) == Consequence()


@pytest.mark.parametrize(("found", "trusted"), [((0.8, 0.7, 0.6, 0.7), True), ((0.9, 0.9, 0.9, 0.9), False)])
def test_expectation_is_trusted_only_where_it_beat_no_change(found: tuple[float, ...], trusted: bool) -> None:
    periods = [AuditedPeriod(expected=0.7, found=one) for one in found]
    honesty = honesty_of(0.9, periods)
    assert honesty.is_trusted is trusted
    assert not honesty_of(0.9, periods[:3]).is_trusted
    assert honesty.error == pytest.approx(np.mean([abs(0.7 - one) for one in found]))


def study(rng: np.random.Generator) -> dict[str, float]:
    return {"spacing": float(rng.gamma(4.0, 0.5)), "score": float(rng.beta(1, 3))}


def test_no_more_studies_are_flagged_than_the_stated_rate() -> None:
    rng = np.random.default_rng(2)
    known = [study(rng) for _ in range(2_000)]
    table = {s.name: counts(s, np.array([one[s.name] for one in known])) for s in (SPACING, SCORE)}
    rule = outlier_rule((SPACING, SCORE), table, [study(rng) for _ in range(999)], rate=0.02)
    flagged = np.mean([rule.is_outlier(study(rng)) for _ in range(4_000)])
    assert flagged <= 0.02 + 4 * np.sqrt(0.02 * 0.98 / 999)
    assert rule.is_outlier({})
    assert rule.is_outlier({"spacing": 9.0, "score": 0.99})


def test_too_few_studies_to_state_a_rate_flag_nothing() -> None:
    rng = np.random.default_rng(2)
    table = {"spacing": np.ones(6, dtype=int), "score": np.ones(5, dtype=int)}
    rule = outlier_rule((SPACING, SCORE), table, [study(rng) for _ in range(98)], rate=0.01)
    assert not rule.is_outlier({})
    assert OUTLIER.labels == ("no", "yes", "other", "missing")
