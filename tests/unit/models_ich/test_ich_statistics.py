"""The figures of the model cards come from these three functions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.zoo.ich.statistics import auc, auc_estimate, balanced_accuracy, paired_gain, share_estimate
from models.zoo.ich.train import platt

RNG = np.random.default_rng(3)
POSITIVE = RNG.random(200) < 0.4
SCORES = np.round(RNG.normal(POSITIVE, 1.5), 1)  # rounded: ties


def test_the_auc_is_the_one_of_scikit_learn_also_with_ties() -> None:
    assert auc(SCORES, POSITIVE) == pytest.approx(roc_auc_score(POSITIVE, SCORES))


def test_one_class_has_no_auc() -> None:
    assert np.isnan(auc(SCORES, np.ones(200, dtype=bool)))
    assert auc_estimate(SCORES[:0], POSITIVE[:0]).value is None
    assert auc_estimate(SCORES, np.ones(200, dtype=bool)).value is None


def test_an_interval_holds_its_value_and_says_its_cases() -> None:
    estimate = auc_estimate(SCORES, POSITIVE)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < (estimate.value or 0) < estimate.high
    assert estimate.cases == 200


def test_a_version_gains_nothing_over_itself() -> None:
    gain = paired_gain(auc, SCORES, SCORES, POSITIVE)
    assert (gain.low, gain.value, gain.high) == (0, 0, 0)


def test_balanced_accuracy_weighs_both_classes_alike() -> None:
    positive = np.array([True, False, False, False])
    assert balanced_accuracy(np.array([True, True, False, False]), positive) == pytest.approx((1 + 2 / 3) / 2)


def test_more_cases_make_a_narrower_interval() -> None:
    few, many = share_estimate(np.arange(20) % 2 == 0), share_estimate(np.arange(2000) % 2 == 0)
    assert (few.high or 0) - (few.low or 0) > 3 * ((many.high or 0) - (many.low or 0))


def test_platt_finds_the_line_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, 20000)
    labels = (rng.random(20000) < 1 / (1 + np.exp(-(1.5 * scores - 0.7)))).astype(float)
    assert platt(scores, labels) == pytest.approx((1.5, -0.7), abs=0.1)
