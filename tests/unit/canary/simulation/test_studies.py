"""The studies of a simulation: their chances are those that were assumed, and each is counted where it belongs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.simulation.assumptions import BETTER_BY, WORSE_BY, Assumptions, Scenario, assumed, chances
from canary.simulation.studies import OUTCOMES, Outcome, Studies

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BASE = Assumptions(studies_per_day=400, prevalence=0.1)
shares = st.floats(0, 1)


def studies(seed: int = 1, **changes: object) -> Studies:
    return Studies(replace(BASE, **changes), np.random.default_rng(seed))  # type: ignore[arg-type]


@given(
    accuracy=shares,
    sensitivity=shares,
    specificity=shares,
    discordance=shares,
    prevalence=shares,
    failures=shares,
    own=shares,
    others=shares,
)
def test_chances_are_chances_and_give_the_accuracies_that_were_assumed(
    accuracy: float,
    sensitivity: float,
    specificity: float,
    discordance: float,
    prevalence: float,
    failures: float,
    own: float,
    others: float,
) -> None:
    site = Assumptions(
        studies_per_day=1,
        prevalence=prevalence,
        accuracy=accuracy,
        sensitivity=sensitivity,
        specificity=specificity,
        discordance=discordance,
        failure_rate=failures,
        own_failures=own,
        champion_failures=others,
    )
    found = np.array(chances(site))
    assert len(found) == OUTCOMES
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert found[-1] == failures
    for truth, share, candidate in ((0, prevalence, sensitivity), (1, 1 - prevalence, specificity)):
        of_truth = found[:-1].reshape(2, len(Outcome))[truth]
        by_candidate = share * (1 - failures) * (1 - own)
        answered = by_candidate * (1 - others)
        right = of_truth[Outcome.BOTH_RIGHT]
        assert right + of_truth[Outcome.CHAMPION_WRONG] == pytest.approx(answered * candidate, abs=1e-9)
        assert right + of_truth[Outcome.CANDIDATE_WRONG] == pytest.approx(answered * accuracy, abs=1e-9)
        alone = of_truth[[Outcome.CHAMPION_FAILS, Outcome.CHAMPION_FAILS_CANDIDATE_WRONG]]
        assert alone[0] == pytest.approx(by_candidate * others * candidate, abs=1e-9)
        assert alone.sum() == pytest.approx(by_candidate * others, abs=1e-9)


def test_the_discordance_is_the_one_that_was_asked_for_where_it_can_be() -> None:
    found = np.array(chances(replace(BASE, failure_rate=0.0))[:-1]).reshape(2, len(Outcome))
    alone = found[:, [Outcome.CANDIDATE_WRONG, Outcome.CHAMPION_WRONG]].sum()
    assert alone == pytest.approx(0.10)


def test_scenarios_change_the_candidate_only() -> None:
    base = replace(BASE, accuracy=0.85, failure_rate=0.02)
    better, same, worse, broken, silent = (assumed(one, base) for one in Scenario)
    assert (better.sensitivity, better.specificity) == (0.85 + BETTER_BY, 0.85 + BETTER_BY)
    assert (same.sensitivity, same.own_failures, same.is_silent) == (0.85, 0.0, False)
    assert worse.specificity == pytest.approx(0.85 - WORSE_BY)
    assert (broken.sensitivity, broken.own_failures) == (0.85, 0.10)
    assert (silent.sensitivity, silent.is_silent) == (0.85, True)
    assert {one.failure_rate for one in (better, same, worse, broken, silent)} == {0.02}


@pytest.mark.parametrize(
    "wrong", [{"accuracy": 1.1}, {"discordance": -0.1}, {"studies_per_day": -1}, {"studies_per_day": 1e9}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(BASE, **wrong)  # type: ignore[arg-type]


def test_without_a_weight_the_canary_answers_nobody_and_the_shadow_reads_all() -> None:
    answered, pairs = studies().drawn(100, NOON, 0, 10_000)
    assert (answered.canary, answered.canary_failed, answered.adverse) == (0, 0, 0)
    assert answered.champion_failed == pytest.approx(400, abs=80)
    assert pairs.read == pytest.approx(40_000, rel=0.02)
    assert (pairs.candidate_failed, pairs.champion_failed) == (0, 0)
    assert pairs.both_failed == answered.champion_failed
    assert pairs.positive.sum() + pairs.negative.sum() == pairs.read - pairs.both_failed, (
        "none spoke of these"
    )


def test_what_the_champion_alone_fails_is_read_by_the_shadow_and_counts_against_it() -> None:
    site = studies(champion_failures=0.2, sensitivity=1.0, specificity=1.0, accuracy=1.0, discordance=0.0)
    answered, pairs = site.drawn(100, NOON, 0, 10_000)
    assert answered.champion_failed == pairs.champion_failed + pairs.both_failed
    assert pairs.champion_failed == pytest.approx(40_000 * 0.99 * 0.2, rel=0.05)
    known = pairs.positive + pairs.negative
    assert known[Outcome.CHAMPION_WRONG] == pairs.champion_failed
    assert known[Outcome.BOTH_RIGHT] == pairs.read - pairs.champion_failed - pairs.both_failed


def test_a_champion_that_fails_beside_the_canary_makes_a_pair_and_a_canary_that_fails_none() -> None:
    site = studies(champion_failures=0.2, own_failures=0.1, failure_rate=0.0)
    answered, pairs = site.drawn(100, NOON, 5_000, 0)
    assert pairs.champion_failed == pytest.approx(20_000 * 0.9 * 0.2, rel=0.1)
    assert (pairs.candidate_failed, pairs.both_failed) == (0, 0)
    assert pairs.read == answered.canary - answered.canary_failed
    assert answered.champion_failed == pytest.approx(20_000 * 0.9 * 0.2, rel=0.1)


def test_the_canary_answers_its_share_and_the_champion_reads_along() -> None:
    site = studies(own_failures=0.05, critical_share=0.5)
    answered, pairs = site.drawn(100, NOON, 2_500, 10_000)
    assert answered.canary == pytest.approx(10_000, rel=0.05)
    assert answered.canary_failed == pytest.approx(10_000 * (0.01 + 0.99 * 0.05), rel=0.15)
    assert answered.champion_failed == pytest.approx(300, rel=0.25)
    # half of what they differ on, of what it answered
    assert answered.adverse - answered.canary_failed == pytest.approx(10_000 * 0.99 * 0.95 * 0.05, rel=0.15)
    assert pairs.candidate_failed == pytest.approx(30_000 * 0.99 * 0.05, rel=0.1)  # the shadow's only
    assert pairs.read == pytest.approx(40_000 - answered.canary_failed, rel=0.02)
    assert pairs.both_failed == answered.champion_failed


def test_a_shadow_of_a_share_reads_that_share() -> None:
    _, all_read = studies().drawn(50, NOON, 0, 10_000)
    _, half = studies().drawn(50, NOON, 0, 5_000)
    assert half.read == pytest.approx(all_read.read / 2, rel=0.05)


def test_a_reading_that_failed_is_a_wrong_one_once_its_truth_is_known() -> None:
    site = studies(own_failures=1.0, failure_rate=0.0, accuracy=1.0, sensitivity=1.0, specificity=1.0)
    _, pairs = site.drawn(1, NOON, 0, 10_000)
    assert pairs.candidate_failed == pairs.read > 0
    assert list(pairs.positive[[0, 2, 3]]) == [0, 0, 0]
    assert pairs.positive[Outcome.CANDIDATE_WRONG] == pairs.positive.sum() > 0


def test_truths_come_as_late_as_was_assumed_and_once() -> None:
    site = studies(truth_after_s=2 * 86_400)
    _, pairs = site.drawn(1, NOON, 0, 10_000)
    before, due = NOON + timedelta(days=2, seconds=-1), NOON + timedelta(days=2)
    assert sum(one.sum() for one in site.truths(before)) == 0
    assert not site.is_all_known
    positive, negative = site.truths(due)
    assert (positive == pairs.positive).all()
    assert (negative == pairs.negative).all()
    assert site.is_all_known
    assert sum(one.sum() for one in site.truths(due)) == 0


def test_a_truth_that_never_comes_is_waited_for_by_nobody() -> None:
    site = studies(truth_after_s=None)
    site.drawn(1, NOON, 0, 10_000)
    assert site.is_all_known


def test_a_candidate_that_is_silent_leaves_nothing() -> None:
    site = studies(is_silent=True)
    answered, pairs = site.drawn(100, NOON, 5_000, 10_000)
    assert (answered.canary, answered.champion_failed, pairs.read) == (0, 0, 0)


def test_the_same_generator_gives_the_same_studies() -> None:
    one, other = (studies(seed=5).drawn(3, NOON, 500, 8_000) for _ in range(2))
    assert one[0] == other[0]
    assert (one[1].positive == other[1].positive).all()
