"""What stands on the board of rollouts: words that follow the place and not each study, and a link to the run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from canary.rollout.status import RolloutPhase, RolloutStatus
from ledger import StoredRollout
from serve_apps.control.pages import RolloutPage
from serve_apps.control.rollout_board import LINK, WORDS, RolloutBoard
from serve_apps.control.rollout_told import EVIDENCE_TAG, PHASE_TAG, RUN_TAG, WEIGHT_TAG, WHY_TAG
from tests.unit.canary.rollout.builders import GOOD, NOON, PLAN, begun, evidence

AT_5 = begun(step=4, weight_bp=500, reason="waits for studies: 1 of 60")
KEY = ("chest-ct", 1)


def stored(status: RolloutStatus = AT_5) -> StoredRollout:
    return StoredRollout(PLAN, status, 1)


def page(board: RolloutBoard, version: str = "2") -> RolloutPage:
    board.looked()
    pages = board.pages()
    assert pages is not None
    return pages["chest-ct", version]


def test_nothing_is_known_before_the_first_look() -> None:
    board = RolloutBoard()
    assert board.pages() is None
    board.looked()
    assert board.pages() == {}


def test_a_page_tells_phase_step_weight_reason_and_evidence() -> None:
    board = RolloutBoard()
    board.saw(stored(), GOOD, NOON)
    told = page(board)
    assert (told.tags[PHASE_TAG], told.tags[WEIGHT_TAG]) == ("Progressing", "5 %")
    assert told.tags[EVIDENCE_TAG].startswith("sensitivity Successful: it is Successful; canary-failures")
    assert told.sentence == "its rollout, run 1, is Progressing in step 4 of 7: pause, at 5 %"
    assert told.of_model == "the rollout of version 2 is Progressing in step 4 of 7: pause, at 5 %"


def test_a_count_that_grows_changes_no_word_and_another_reason_does_after_a_minute() -> None:
    board = RolloutBoard()
    board.saw(stored(), GOOD, NOON)
    before = page(board)
    board.saw(stored(replace(AT_5, reason="waits for studies: 31 of 60")), GOOD, NOON + 2 * WORDS)
    assert page(board) == replace(before, is_settled=True)
    held = stored(replace(AT_5, reason="holds: the site is frozen"))
    board.saw(held, GOOD, NOON + WORDS / 2)
    assert page(board).tags[WHY_TAG] == "waits for studies: 1 of 60"
    board.saw(held, GOOD, NOON + WORDS)
    assert page(board).tags[WHY_TAG] == "holds: the site is frozen"
    assert page(board).sentence.endswith("at 5 %: holds: the site is frozen")


def test_a_verdict_or_a_weight_changes_the_words_at_once() -> None:
    board = RolloutBoard()
    board.saw(stored(), evidence(), NOON)
    board.saw(stored(), GOOD, NOON + timedelta(seconds=1))
    assert "sensitivity Successful" in page(board).tags[EVIDENCE_TAG]
    board.saw(stored(replace(AT_5, weight_bp=0)), GOOD, NOON + timedelta(seconds=2))
    assert page(board).tags[WEIGHT_TAG] == "0 %"


def test_evidence_that_is_not_known_now_leaves_what_was_said_of_it() -> None:
    board = RolloutBoard()
    board.saw(stored(), GOOD, NOON)
    ended = stored(replace(AT_5, phase=RolloutPhase.FAILED, weight_bp=0, reason="it failed"))
    board.saw(ended, None, NOON)
    told = page(board)
    assert "sensitivity Successful" in told.tags[EVIDENCE_TAG]
    assert (told.sentence, told.of_model) == ("its rollout, run 1, is Failed: it failed", "")
    unknown = RolloutBoard()
    unknown.saw(ended, None, NOON)
    assert EVIDENCE_TAG not in page(unknown).tags


def test_a_page_waits_a_while_for_the_run_that_it_names() -> None:
    board = RolloutBoard()
    board.saw(stored(), GOOD, NOON)
    assert not page(board).is_settled
    board.linked(KEY, "7", "abc")
    told = page(board)
    assert (told.is_settled, told.tags[RUN_TAG]) == (True, "chest-ct v2 run 1: abc")
    assert told.sentence.startswith("its rollout, [run 1](#/experiments/7/runs/abc), is")
    without = RolloutBoard()
    for at in (NOON, NOON + LINK):
        without.saw(stored(), None, at)
    assert page(without).is_settled


def test_the_last_run_of_a_version_stands_on_its_page() -> None:
    board = RolloutBoard()
    again = stored(replace(begun(), run=2))
    for one in (again, stored()):
        board.saw(one, None, NOON)
    assert page(board).sentence.startswith("its rollout, run 2,")


def test_a_reason_of_many_lines_is_one_line_on_a_page() -> None:
    board = RolloutBoard()
    ended = replace(AT_5, phase=RolloutPhase.FAILED, weight_bp=0, reason="ada aborted it:\n it\rsmells")
    board.saw(stored(ended), None, NOON)
    assert page(board).sentence.endswith("Failed: ada aborted it: it smells")


def test_what_a_look_finds_again_is_not_worked_out_again() -> None:
    board, same = RolloutBoard(), stored()
    board.saw(same, GOOD, NOON)
    board.saw(same, GOOD, NOON + LINK)
    (known,) = board.seen_runs
    for evidence_now in (GOOD, None):
        board.saw(same, evidence_now, NOON + 2 * LINK)
        assert board.seen_runs[0] is known
    board.saw(same, replace(GOOD, exposed_studies=9), NOON + 2 * LINK)
    assert board.seen_runs[0] is not known
