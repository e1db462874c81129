"""What `serinus rollout watch` draws, as text: the whole state of a rollout, within the width of the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from serve_apps.api.examples import BY_SCHEMA
from serve_apps.cli.rollout_view import bar, evidence_bar, rollout_view
from tests.unit.shell.rollout_answers import (
    ALL,
    APPROVING,
    BLIND,
    CANARY,
    FAILED,
    PAUSED,
    PROMOTING,
    PROVING,
    WATCHED,
)

WIDTHS = (80, 120)


def drawn(answer: Mapping[str, Any], width: int = 80, note: str = "") -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(rollout_view(answer, width, note))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(answer: Mapping[str, Any], width: int = 80, note: str = "") -> str:
    """The text without frames and line breaks."""
    return " ".join(drawn(answer, width, note).replace("│", " ").split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("phase", ALL)
def test_every_phase_fits_the_width_and_says_what_it_is(phase: str, width: int) -> None:
    answer = ALL[phase]
    lines = drawn(answer, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "champion 1 → candidate 2" in lines[0]
    assert f"run {answer['run']}" in lines[0]
    assert lines[1].startswith(f"│ {answer['phase']}  {answer['reason'][:30]}")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_step_under_way_is_marked_and_those_before_it_are_done(width: int) -> None:
    told = drawn(CANARY, width)
    marks = [line.split("│")[1].split()[:2] for line in told.splitlines() if "│" in line]
    found = {number: mark for mark, number in (two for two in marks if len(two) == 2) if number in "0123456"}
    assert found == {"0": "✓", "1": "✓", "2": "✓", "3": "✓", "4": "▶", "5": "·", "6": "·"}


def test_a_rollout_that_failed_marks_the_step_at_which_it_did() -> None:
    assert "✗ 4 until 10 studies" in drawn(FAILED)


@pytest.mark.parametrize("width", WIDTHS)
def test_evidence_stands_beside_what_it_takes(width: int) -> None:
    told = drawn(PROVING, width)
    (row,) = [line for line in told.splitlines() if "sensitivity " in line and "/2.0" in line]
    assert "Running" in row
    assert "114" in row
    assert "████░░░░░░ 0.6/2.0" in row
    assert "░░░░░░░░░░ -0.1/1.6" in row
    assert "worst in scanner=CT-2: 4 seen, log10 E = 0.9" in words(PROVING, width)
    assert "latency (dry run)" in told


def test_a_sentence_that_stands_above_is_not_told_again() -> None:
    assert words(PROVING).count("the candidate missed 4 and the champion 0") == 1
    assert "1 of 1 errors fell in a 5 % arm" in words(CANARY)


def test_the_weight_is_told_as_asked_and_as_readings_show_it() -> None:
    assert "5 % asked, and readings show it" in words(CANARY)
    assert "5 % asked, not shown by readings yet" in words(PAUSED)


def test_the_budget_is_told_as_spent_of_its_limit() -> None:
    assert "7 of 200" in words(CANARY)
    assert "1 of 5" in words(CANARY)
    free = {**CANARY, "exposure": {"studies": 7, "studies_limit": None, "adverse": 1, "adverse_limit": 0}}
    assert "– 7, no limit" in words(free)
    assert "1 of 0" in words(free)


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (PROVING, "waits for evidence of sensitivity step ends about 2026-06-"),
        (
            APPROVING,
            "waits for the approval of quality: 1 more person step ends no date: it waits for people",
        ),
        (CANARY, "waits for studies: 7 of 10 in this step, then evidence of canary-failures"),
        (PAUSED, "waits for a person: resume or abort ends no date: it is paused"),
        (PROMOTING, "waits for the promotion"),
        (WATCHED, "waits for the time, until 2026-08-30 12:00 UTC promoted 2026-06-01 12:00 UTC ends about"),
        (FAILED, "waits for nothing: it has ended"),
    ],
)
def test_the_next_gate_and_the_dates_are_told(answer: Mapping[str, Any], waits: str) -> None:
    assert waits in words(answer)


def test_conditions_that_do_not_hold_are_told_with_why_and_the_others_are_not() -> None:
    told = words(APPROVING)
    assert "✗ not ApprovalGranted waits for the approval of quality in step 2" in told
    assert "ShadowReady" not in told
    assert "✗ not DataPlaneVerified" in words(PAUSED)
    degraded = {**CANARY, "conditions": [{"kind": "Degraded", "holds": True, "reason": "a router is old"}]}
    assert "✗ Degraded a router is old" in words(degraded)


def test_what_is_not_known_is_said_to_be_so() -> None:
    assert "nothing is known of the evidence now" in words(BLIND)
    assert "not known now" in words(BLIND)


def test_the_newest_events_stand_first_and_nothing_in_them_is_taken_for_markup() -> None:
    told = words(PROVING)
    assert told.index("06-02 03:00 rollout") < told.index("06-01 22:00 ris/ada")
    assert "the archive was down [QM-17]" in told


def test_what_people_wrote_moves_no_cursor() -> None:
    event = {**PROVING["events"][0], "reason": "\x1b[2Jgone\r\nand back"}
    told = drawn({**PROVING, "reason": "\x1b[31mred", "events": [event]})
    assert "\x1b" not in told
    assert "\r" not in told


def test_a_note_stands_first() -> None:
    assert drawn(CANARY, note="the API does not answer").startswith("! the API does not answer")


def test_the_example_of_the_api_is_drawn() -> None:
    example = {"promoted_at": None, "pause": None} | BY_SCHEMA["RolloutDetailOut"]
    defaults = {"min_observations": None, "dry_run": False, "worst_stratum": None}
    example["evidence"] = [defaults | one for one in example["evidence"]]
    example["gate"] = {"studies": 0, "metrics": [], "until": None} | example["gate"]
    assert "waits for the approval of quality: 1 more person" in words(example)


@given(share=st.floats(-5, 5), width=st.integers(2, 40))
def test_a_bar_is_full_only_when_the_limit_is_reached(share: float, width: int) -> None:
    told = bar(share, width, "red").plain
    assert len(told) == width
    assert (told == "█" * width) == (share >= 1)
    assert ("█" not in told) == (share <= 0)


@given(log10_e=st.floats(-9, 9), limit=st.floats(0.3, 6))
def test_evidence_never_reads_as_reached_before_it_is(log10_e: float, limit: float) -> None:
    told = evidence_bar(log10_e, limit, "red").plain
    shown = float(told.split()[-1].split("/")[0])
    if log10_e < limit:
        assert shown <= log10_e
        assert told.count("█") < 10
    else:
        assert told.startswith("█" * 10)


def test_a_metric_without_evidence_has_no_bar() -> None:
    assert evidence_bar(None, 2.0, "red").plain == "–"
    assert evidence_bar(1.0, None, "red").plain == "–"
