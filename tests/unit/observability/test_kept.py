"""What is out of the ordinary is always kept; of the rest a share, by the study's pseudonym."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.record import Outcome, StudyTrace
from observability.traces.caller import caller_of, trusted_traceparent
from observability.traces.kept import Keeping, Why, is_discordant, is_in_share, why_kept

from .traces import reading, study

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOTHING = Keeping(0.0)
FAILED = reading(outcome=Outcome.FAILED, error_code="model-error", delivered=False, role="failed")


def why(keeping: Keeping = NOTHING, **changes: Any) -> Why | None:
    return why_kept(study(**changes), keeping)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": Outcome.LATE}, Why.FAILED),
        ({"outcome": Outcome.REFUSED}, Why.FAILED),
        ({"records": (FAILED, reading())}, Why.FALLBACK),
        ({"records": (reading(input_check="out-of-distribution"),)}, Why.OUTLIER),
        ({"records": (reading(variant="canary"),)}, Why.VARIANT),
        ({"records": (reading(variant="arm-b"),)}, Why.VARIANT),
        ({"is_live": False, "records": (reading(delivered=False, role="shadow"),)}, Why.SILENT),
        ({"traceparent": CALLER}, Why.CALLER),
        ({"traceparent": CALLER[:-1] + "0"}, None),
        ({"records": (reading(input_check="in-distribution"),)}, None),
        ({}, None),
    ],
)
def test_an_extraordinary_study_is_kept_at_a_share_of_nothing(
    changes: dict[str, Any], reason: Why | None
) -> None:
    assert why(**changes) is reason


def test_a_study_that_took_longer_than_its_modality_does_is_kept() -> None:
    assert why(Keeping(0.0, {"CT": 0.05})) is Why.SLOW
    assert why(Keeping(0.0, {"CT": 0.1})) is None, "it took exactly that"
    assert why(Keeping(0.0, {"MR": 0.05})) is None


@given(key=st.text(), share=st.floats(0, 1))
def test_a_failure_of_any_variant_is_always_kept(key: str, share: float) -> None:
    assert why(Keeping(share), study_key=key, records=(reading(), FAILED)) is Why.FALLBACK
    assert why(Keeping(share), study_key=key, outcome=Outcome.LATE) is Why.FAILED


@given(key=st.text(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_share_keeps_what_a_lower_one_kept(key: str, low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    assert is_in_share(key, low) <= is_in_share(key, high)


def test_the_kept_share_is_what_was_asked_for() -> None:
    number = sum(is_in_share(f"st-{i}", 0.05) for i in range(20_000))
    assert abs(number - 1000) < 3 * (20_000 * 0.05 * 0.95) ** 0.5
    assert why(NOTHING) is None
    assert why(Keeping(1.0)) is Why.SHARE
    with pytest.raises(ValueError, match="share"):
        Keeping(1.1)


def scored(**scores: float) -> StudyTrace:
    return study(records=(reading(scores=tuple(scores.items())),))


@pytest.mark.parametrize(
    ("mine", "theirs", "differs"),
    [
        ({"ich": 0.9}, {"ich": 0.5}, False),
        ({"ich": 0.9}, {"ich": 0.49}, True),
        ({"ich": 0.1, "sah": 0.9}, {"ich": 0.1, "sah": 0.2}, True),
        ({"ich": 0.9}, {"sah": 0.1}, False),
        ({}, {"ich": 0.9}, False),
    ],
)
def test_two_readings_are_discordant_when_one_finds_what_the_other_does_not(
    mine: dict[str, float], theirs: dict[str, float], differs: bool
) -> None:
    assert is_discordant(scored(**mine).answer, scored(**theirs).answer) is differs
    assert is_discordant(scored(**theirs).answer, scored(**mine).answer) is differs
    assert not is_discordant(scored(**mine).answer, None)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"{CALLER}x",
        CALLER.upper(),
        "ff" + CALLER[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_a_malformed_traceparent_names_nobody(header: str | None) -> None:
    assert caller_of(header) is None
    assert trusted_traceparent(header, "ris", ("ris",)) is None


def test_a_traceparent_counts_only_of_a_trusted_caller_and_nothing_more_of_it() -> None:
    assert trusted_traceparent(CALLER, "ris", ("ris",)) == CALLER
    assert trusted_traceparent(CALLER, "ris", ()) is None
    assert trusted_traceparent(CALLER, "other", ("ris",)) is None
    assert trusted_traceparent(f"01{CALLER[2:]}-1.2.840.113619", "ris", ("ris",)) == CALLER, (
        "a later version's"
    )
    assert trusted_traceparent(f"{CALLER[:-2]}ff", "ris", ("ris",)) == CALLER


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    trusted_traceparent(header, "ris", ("ris",))
