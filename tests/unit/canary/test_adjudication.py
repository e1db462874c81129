"""Whom the queue asks about: all of whom the versions differ, a fair sample of the others, and blindly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.adjudication import NO_RESULT, PairKey, blinded_arms, draw_of, pair_id, select, workload

labels = st.sampled_from(["present", "absent", "indeterminate", "not-reported", NO_RESULT])
shares = st.floats(0, 1, exclude_min=True)


def key(patient: str = "pt-1", candidate: str = "2", finding: str = "1386000@SCT") -> PairKey:
    return PairKey("ich-triage", finding, "1", candidate, patient)


@given(labels, labels, st.text(min_size=1, max_size=8), shares)
def test_who_differs_is_asked_surely_and_who_agrees_with_the_share(
    one: str, other: str, patient: str, share: float
) -> None:
    selection = select(key(patient), one, other, share)
    assert selection.is_discordant is (one != other)
    assert selection.inclusion_probability == (1.0 if one != other else share)
    assert selection.is_selected or not selection.is_discordant


@given(st.text(max_size=8), shares, shares)
def test_a_larger_share_asks_all_whom_a_smaller_one_asks(patient: str, one: float, other: float) -> None:
    small, large = (select(key(patient), "absent", "absent", s).is_selected for s in sorted((one, other)))
    assert large or not small


def test_the_sample_is_of_the_size_that_was_asked_for() -> None:
    asked = sum(select(key(f"pt-{n}"), "absent", "absent", 0.05).is_selected for n in range(20_000))
    assert 0.045 < asked / 20_000 < 0.055, "three standard deviations are 0.0046"


def test_the_same_patient_is_asked_for_whichever_versions_are_compared() -> None:
    for patient in map(str, range(50)):
        one, other = (select(key(patient, candidate), "absent", "absent", 0.3) for candidate in "23")
        assert one.is_selected is other.is_selected


def test_a_draw_stays_what_it_was() -> None:
    """A change of the hash would choose other patients in the middle of a rollout."""
    assert draw_of("ich-triage", "pt-1") == pytest.approx(0.372994612812119, abs=1e-12)


def test_no_sample_is_no_design() -> None:
    for share in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="above 0"):
            select(key(), "absent", "absent", share)


def test_either_version_is_called_a_as_often_and_the_name_of_the_item_does_not_tell() -> None:
    keys = [key(f"pt-{n}") for n in range(4_000)]
    is_champion = [blinded_arms(k)["A"] == "1" for k in keys]
    assert 0.46 < sum(is_champion) / len(keys) < 0.54
    by_name = [int(pair_id(k), 16) % 2 == 0 for k in keys]
    agreeing = sum(a is b for a, b in zip(is_champion, by_name, strict=True))
    assert 0.46 < agreeing / len(keys) < 0.54
    assert all(sorted(blinded_arms(k).values()) == ["1", "2"] for k in keys[:20])


@given(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))
def test_two_pairs_have_two_names(a: str, b: str, c: str, d: str) -> None:
    one, other = PairKey("m", a, "1", "2", b), PairKey("m", c, "1", "2", d)
    assert (pair_id(one) == pair_id(other)) is (one == other)


def test_the_forecast_counts_all_who_differ_and_the_share_of_the_others() -> None:
    forecast = workload(pairs=4000, discordant=400, days=10, concordant_share=0.05, open_items=7)
    assert (forecast.pairs_per_day, forecast.discordant_share) == (400, 0.1)
    assert forecast.items_per_day == pytest.approx(40 + 18)
    assert workload(pairs=0, discordant=0, days=1, concordant_share=0.05, open_items=0).items_per_day == 0


def test_the_weights_give_back_what_discrepant_analysis_hides() -> None:
    """Both versions miss the same tenth of the present: adjudicating only where they differ makes both look better
    than they are; weighing those who agree by their probability does not.
    """
    chance = random.Random(7)
    weighed = [0.0, 0.0]
    differing = [0, 0]
    for number in range(40_000):
        both_miss = chance.random() < 0.1
        champion = "absent" if both_miss or chance.random() < 0.05 else "present"
        candidate = "absent" if both_miss or chance.random() < 0.05 else "present"
        selection = select(key(f"pt-{number}"), champion, candidate, 0.05)
        if not selection.is_selected:
            continue
        weighed[candidate == "present"] += 1 / selection.inclusion_probability
        if selection.is_discordant:
            differing[candidate == "present"] += 1
    sensitivity = weighed[True] / sum(weighed)
    assert 0.835 < sensitivity < 0.875, "the true one is 0.9 * 0.95 = 0.855"
    assert differing[True] / sum(differing) < 0.55
