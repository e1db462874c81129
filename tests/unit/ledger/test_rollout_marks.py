"""A mark that stays, and is settled, stands for evidence that stays."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.truth import TruthLabel
from ledger import Ledger, StoredRollout
from ledger.rollout_marks import Mark
from serve_apps.application.gather_evidence import GatheredEvidence
from serve_apps.control.rollout_memory import RolloutMemory
from tests.unit.ledger.conftest import Clock, after, set_time
from tests.unit.ledger.paired import SHARE, read_twice, told
from tests.unit.ledger.routed import read_study
from tests.unit.ledger.test_gathered_evidence import ARRIVALS, PLAN, Site, begin, look, row_of


def mark(ledger: Ledger, seconds: float = 3600.0) -> Mark:
    set_time(ledger, after(seconds))
    return ledger.rollout_marks.all()["ich"]


def test_a_model_to_which_nothing_came_is_settled_and_one_without_a_rollout_has_no_mark(
    ledger: Ledger,
) -> None:
    assert ledger.rollout_marks.all() == {}
    begin(ledger)
    assert ledger.rollout_marks.all() == {"ich": Mark(None, 0, is_settled=True)}


def test_each_thing_that_evidence_is_made_of_moves_the_mark(ledger: Ledger) -> None:
    begin(ledger)
    seen = [mark(ledger)]
    read_study(ledger, row_of("pt-1", 500), at=after(1))
    seen.append(mark(ledger))
    read_twice(ledger, "pt-2", at=after(2))
    seen.append(mark(ledger))
    look(ledger)  # pairs are collected
    seen.append(mark(ledger))
    ledger.truths.add(told(TruthLabel.PRESENT, "pt-2"), actor="ris")
    seen.append(mark(ledger))
    assert len(set(seen)) == 5
    assert mark(ledger) == seen[-1]


def test_a_mark_is_settled_once_the_feed_has_given_its_newest_row(ledger: Ledger) -> None:
    begin(ledger)
    read_study(ledger, row_of("pt-1", 500), at=after(0))
    assert [mark(ledger, seconds).is_settled for seconds in (1, 61, 119, 121)] == [False, False, False, True]


@given(st.lists(ARRIVALS, min_size=4, max_size=22))
@settings(max_examples=20, deadline=None)
def test_evidence_that_is_remembered_is_that_of_a_new_computation(arrivals: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock())
        begin(ledger)
        (stored,) = ledger.rollouts.newest()
        memory = RolloutMemory(
            GatheredEvidence(ledger, SHARE), ledger.rollout_marks.all, ledger.rollouts.approvals
        )
        site = Site(ledger)
        for kind, *what in arrivals:
            if kind == "look":
                site.seconds += what[0] * 2
                set_time(ledger, after(site.seconds))
                _agree(memory, ledger, stored)
            else:
                site.happens(kind, *what)
        for later in (0, 70, 200):
            set_time(ledger, after(site.seconds + later))
            _agree(memory, ledger, stored)
        ledger.close()


def _agree(memory: RolloutMemory, ledger: Ledger, stored: StoredRollout) -> None:
    memory.begin_look()
    assert memory.evidence(stored) == GatheredEvidence(ledger, SHARE).of(stored.status, PLAN)
