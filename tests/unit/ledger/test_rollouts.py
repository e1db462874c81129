"""Rollouts in the ledger: written once for each revision, with their events, approvals and audit or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.rollout.advance import Event
from canary.rollout.plan import ExposureBudget
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutPhase, RolloutStatus
from core.errors import InvalidField, RolloutConflict, RolloutNotFound
from ledger import KeptFor, Ledger, StoredRollout
from tests.unit.canary.rollout import builders
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import NOON, after, set_time

DAY = timedelta(days=1)
APPROVED = Approval(1, 2, "radiologist", "ris/ada", NOON)
A_DAY = KeptFor(None, None, DAY)


def begin(ledger: Ledger, **changes: Any) -> StoredRollout:
    return ledger.rollouts.begin(plan(), begun(**changes), actor="ris/ada")


def event(before: RolloutStatus, status: RolloutStatus, actor: str = "rollout") -> Event:
    return Event(before, status, after(60), actor, status.reason)


def move(ledger: Ledger, before: StoredRollout, **changes: Any) -> StoredRollout:
    status = replace(before.status, **changes)
    return ledger.rollouts.move(before, status, [event(before.status, status)])


def fail(ledger: Ledger, before: StoredRollout) -> StoredRollout:
    return move(ledger, before, phase=RolloutPhase.FAILED, weight_bp=0, reason="it failed")


def test_a_rollout_comes_back_as_it_was_written(ledger: Ledger, ledger_url: str) -> None:
    moved = move(ledger, begin(ledger), step=3, weight_bp=500, blind_since=after(1.000001))
    assert ledger.rollouts.newest() == ledger.rollouts.of_model("chest-ct") == (moved,)
    elsewhere = Ledger.open(ledger_url)
    assert elsewhere.rollouts.newest() == (moved,), "with nothing remembered"
    elsewhere.close()


def test_a_run_that_another_has_followed_is_found_by_its_number(ledger: Ledger) -> None:
    first = fail(ledger, begin(ledger))
    again = replace(first.status, phase=RolloutPhase.PROGRESSING, run=2, reason="once more")
    second = ledger.rollouts.move(first, again, [event(first.status, again)])
    assert ledger.rollouts.of_model("chest-ct") == (second,)
    assert (ledger.rollouts.get("chest-ct", 1), ledger.rollouts.get("chest-ct", 2)) == (first, second)
    for model, run in (("chest-ct", 3), ("other", 1)):
        with pytest.raises(RolloutNotFound):
            ledger.rollouts.get(model, run)


def test_an_event_is_kept_with_its_row_in_the_audit(ledger: Ledger) -> None:
    first = begin(ledger)
    moved = move(ledger, first, step=1, reason="the shadow is ready")
    newest, oldest = ledger.rollouts.events("chest-ct", 1)
    assert (oldest.number, oldest.actor, oldest.before, oldest.after) == (1, "ris/ada", None, first.status)
    assert (newest.number, newest.actor, newest.reason) == (2, "rollout", "the shadow is ready")
    assert (newest.before, newest.after, newest.at) == (first.status, moved.status, after(60))
    row = ledger.audit.rows(limit=1)[0]
    assert (row.actor, row.action, row.subject) == ("rollout", "rollout", "chest-ct")
    assert (row.detail["was"], row.detail["step"]) == ({"phase": "Progressing", "step": 0}, 1)
    assert ledger.rollouts.events("chest-ct", 1, limit=1) == (newest,)


def test_of_two_who_write_for_one_revision_one_does(ledger: Ledger) -> None:
    first = begin(ledger)
    moved = move(ledger, first, step=1)
    audited = len(ledger.audit.rows())
    with pytest.raises(RolloutConflict):
        move(ledger, first, step=2)
    with pytest.raises(RolloutConflict):
        ledger.rollouts.amend(first, plan(), actor="ris/ada")
    assert ledger.rollouts.newest() == (moved,)
    assert (len(ledger.rollouts.events("chest-ct", 1)), len(ledger.audit.rows())) == (2, audited)


def test_a_run_begins_once_and_after_the_one_before_it(ledger: Ledger) -> None:
    begin(ledger)
    for run in (1, 3):
        with pytest.raises(RolloutConflict):
            begin(ledger, run=run, candidate="3")
    begin(ledger, run=2, candidate="3")
    assert [one.status.candidate for one in ledger.rollouts.of_model("chest-ct")] == ["2", "3"]
    assert ledger.rollouts.of_model("other") == ()


def test_a_retry_is_another_run_and_the_former_stays_as_it_was(ledger: Ledger) -> None:
    failed = fail(ledger, begin(ledger))
    again = begun(run=2, reason="ada retries it")
    stored = ledger.rollouts.move(failed, again, [event(failed.status, again, "ris/ada")])
    assert (stored.plan, stored.status, stored.revision) == (failed.plan, again, 1)
    assert ledger.rollouts.newest() == (stored,)
    assert [one.after.phase for one in ledger.rollouts.events("chest-ct", 1)] == ["Failed", "Progressing"]
    (first,) = ledger.rollouts.events("chest-ct", 2)
    assert (first.number, first.before, first.actor) == (1, None, "ris/ada")


def test_an_approval_is_written_with_its_event_or_not_at_all(ledger: Ledger) -> None:
    first = begin(ledger)
    approved = event(first.status, first.status, "ris/ada")
    then = ledger.rollouts.move(first, first.status, [approved], approval=APPROVED)
    assert ledger.rollouts.approvals("chest-ct", 1) == (APPROVED,)
    other = replace(APPROVED, actor="ris/bob", role="quality", at=after(1))
    with pytest.raises(RolloutConflict):
        ledger.rollouts.move(first, first.status, [approved], approval=other)
    ledger.rollouts.move(then, first.status, [approved], approval=other)
    assert ledger.rollouts.approvals("chest-ct", 1) == (APPROVED, other)
    assert ledger.rollouts.approvals("chest-ct", 2) == ()


def test_a_status_without_an_event_is_written_and_not_told(ledger: Ledger) -> None:
    first = begin(ledger)
    worded = replace(first.status, reason="waits for studies: 3 of 60")
    stored = ledger.rollouts.move(first, worded)
    assert (stored.status, stored.revision) == (worded, 2)
    assert len(ledger.rollouts.events("chest-ct", 1)) == 1


def test_a_plan_is_amended_under_the_status_that_stands(ledger: Ledger) -> None:
    first = begin(ledger)
    other = plan(budget=ExposureBudget(studies=300))
    amended = ledger.rollouts.amend(first, other, actor="ris/ada")
    assert ledger.rollouts.newest() == (StoredRollout(other, first.status, 2),) == (amended,)
    row = ledger.audit.rows(limit=1)[0]
    assert (row.actor, row.action, row.detail["run"]) == ("ris/ada", "rollout-plan", 1)


def test_what_is_too_long_is_refused_and_nothing_is_written(ledger: Ledger) -> None:
    with pytest.raises(InvalidField):
        begin(ledger, candidate="v" * 65)
    assert (ledger.rollouts.newest(), ledger.audit.rows()) == ((), ())


def test_evidence_is_kept_by_metric_and_replaced_with_its_cursor(ledger: Ledger) -> None:
    keep, of_run = ledger.rollout_evidence.keep, ledger.rollout_evidence.of_run
    keep("chest-ct", 1, {"dice": ({"harm": [0.1 + 0.2]}, {"at": 1}), "auc": ({}, {})})
    set_time(ledger, after(60))
    keep("chest-ct", 1, {"auc": ({"seen": 2}, {"at": 2})})
    found = of_run("chest-ct", 1)
    assert (found["dice"].state, found["dice"].cursor) == ({"harm": [0.1 + 0.2]}, {"at": 1})
    assert (found["auc"].state, found["auc"].updated_at) == ({"seen": 2}, after(60))
    keep("chest-ct", 1, {})
    assert (of_run("chest-ct", 1), of_run("chest-ct", 2)) == (found, {})


def test_an_old_run_goes_with_all_that_belongs_to_it_once_the_version_has_a_later_one(ledger: Ledger) -> None:
    first = begin(ledger)
    approved = [event(first.status, first.status)]
    failed = fail(ledger, ledger.rollouts.move(first, first.status, approved, approval=APPROVED))
    ledger.rollout_evidence.keep("chest-ct", 1, {"auc": ({}, {})})
    set_time(ledger, NOON + 2 * DAY)
    assert ledger.retention.purge(A_DAY, actor="retention")["evidence"] == 0, (
        "what failed stays without a weight"
    )
    again = begun(run=2)
    stored = ledger.rollouts.move(failed, again, [event(failed.status, again)])
    assert ledger.retention.due(A_DAY)["evidence"] == 6
    assert ledger.retention.purge(A_DAY, actor="retention")["evidence"] == 6
    assert ledger.rollouts.newest() == (stored,)
    left = (ledger.rollouts.events("chest-ct", 1), ledger.rollouts.approvals("chest-ct", 1))
    assert (*left, ledger.rollout_evidence.of_run("chest-ct", 1)) == ((), (), {})


def test_what_ended_a_moment_ago_or_goes_on_stays(ledger: Ledger) -> None:
    failed = fail(ledger, begin(ledger))
    set_time(ledger, NOON + DAY / 2)
    again = begun(run=2)
    ledger.rollouts.move(failed, again, [event(failed.status, again)])
    assert ledger.retention.purge(A_DAY, actor="retention")["evidence"] == 0
    assert len(ledger.rollouts.events("chest-ct", 1)) == 2


def test_the_end_of_a_run_is_when_it_was_first_written(ledger: Ledger) -> None:
    failed = fail(ledger, begin(ledger))
    set_time(ledger, NOON + 2 * DAY)
    worded = ledger.rollouts.move(failed, replace(failed.status, reason="it failed, by hand"))
    again = replace(builders.begun(), run=2)
    ledger.rollouts.move(worded, again, [event(worded.status, again)])
    assert ledger.retention.due(A_DAY)["evidence"] == 3
