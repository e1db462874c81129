"""Notices of rollouts: in the outbox with their event or not at all, once, and delivered as anything else is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.rollout.advance import Event
from canary.rollout.notice import NoticeKind, Notification
from canary.rollout.status import RolloutPhase
from core.errors import RolloutConflict
from ledger import NOTICE, ClaimedDelivery, KeptFor, Ledger, StoredRollout
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import NOON, after, set_time

RIS, QA = "https://ris.example/rollouts", "https://qa.example/told"
TOLD = plan(notifications=(Notification(RIS), Notification(QA, (NoticeKind.FAILED,))))


def begin(ledger: Ledger) -> StoredRollout:
    return ledger.rollouts.begin(TOLD, begun(TOLD), actor="ris/ada")


def move(ledger: Ledger, before: StoredRollout, **changes: Any) -> StoredRollout:
    status = replace(before.status, **changes)
    event = Event(before.status, status, after(60), "rollout", status.reason)
    return ledger.rollouts.move(before, status, [event])


def due(ledger: Ledger) -> tuple[ClaimedDelivery, ...]:
    return ledger.outbox.claim_deliveries("a", 10, 99)


def said(delivery: ClaimedDelivery) -> Mapping[str, Any]:
    assert delivery.payload is not None
    return delivery.payload


def test_each_event_is_one_message_for_each_who_wants_it(ledger: Ledger) -> None:
    moved = move(ledger, begin(ledger), step=1, reason="the shadow is ready")
    move(ledger, moved, phase=RolloutPhase.FAILED, weight_bp=0, reason="it failed")
    found = sorted((said(one)["id"], one.destination, said(one)["type"]) for one in due(ledger))
    assert found == [
        ("chest-ct/1/1", RIS, "rollout.started"),
        ("chest-ct/1/2", RIS, "rollout.step"),
        ("chest-ct/1/3", QA, "rollout.failed"),
        ("chest-ct/1/3", RIS, "rollout.failed"),
    ]


def test_a_message_says_what_moved_where_and_why(ledger: Ledger) -> None:
    moved = begin(ledger)
    due(ledger)
    move(ledger, moved, step=3, weight_bp=500, reason="the shadow is ready")
    (delivery,) = due(ledger)
    assert (delivery.kind, delivery.job_id, delivery.lane) == (NOTICE, "", "https://ris.example")
    assert said(delivery)["timestamp"] == after(60).isoformat()
    assert said(delivery)["data"] == {
        "rollout": "chest",
        "model": "chest-ct",
        "candidate": "2",
        "stable": "1",
        "run": 1,
        "number": 2,
        "phase": "Progressing",
        "phase_before": "Progressing",
        "step": 3,
        "steps": 7,
        "weight_bp": 500,
        "is_promoted": False,
        "actor": "rollout",
        "reason": "the shadow is ready",
    }


def test_what_was_not_written_is_not_told(ledger: Ledger) -> None:
    first = begin(ledger)
    move(ledger, first, step=1)
    with pytest.raises(RolloutConflict):
        move(ledger, first, step=2)
    assert [said(one)["data"]["step"] for one in due(ledger)] == [0, 1]


def test_a_status_that_only_words_anew_tells_nobody(ledger: Ledger) -> None:
    first = begin(ledger)
    due(ledger)
    ledger.rollouts.move(first, replace(first.status, reason="waits for studies: 3 of 60"))
    assert due(ledger) == ()


def test_a_plan_that_was_amended_tells_whom_it_names_now(ledger: Ledger) -> None:
    first = begin(ledger)
    due(ledger)
    amended = ledger.rollouts.amend(first, plan(notifications=(Notification(QA),)), actor="ris/ada")
    move(ledger, amended, step=1)
    assert [one.destination for one in due(ledger)] == [QA]


def test_a_retry_is_told_as_the_start_of_another_run(ledger: Ledger) -> None:
    failed = move(ledger, begin(ledger), phase=RolloutPhase.FAILED, weight_bp=0)
    due(ledger)
    again = replace(begun(TOLD), run=2)
    ledger.rollouts.move(failed, again, [Event(failed.status, again, after(90), "ris/ada", "ada retries it")])
    (delivery,) = due(ledger)
    assert (said(delivery)["id"], said(delivery)["type"]) == ("chest-ct/2/1", "rollout.started")
    assert said(delivery)["data"]["phase_before"] is None


def test_a_notice_survives_its_bearer_and_is_done_when_it_arrived(ledger: Ledger) -> None:
    begin(ledger)
    (lost,) = due(ledger)
    set_time(ledger, after(11))
    (again,) = ledger.outbox.claim_deliveries("b", 10, 9)
    assert (again.id, again.losses, said(again)) == (lost.id, 1, said(lost))
    ledger.outbox.delivered(again.id)
    set_time(ledger, after(99))
    assert due(ledger) == ()


def test_a_notice_that_was_given_up_is_a_dead_letter_of_no_tenant(ledger: Ledger) -> None:
    begin(ledger)
    (delivery,) = due(ledger)
    ledger.outbox.delivery_failed(delivery.id, "a", "callback-failed", retry_at=None)
    (letter,) = ledger.outbox.dead_letters()
    assert (letter.job_id, letter.kind, letter.lane) == ("", NOTICE, "https://ris.example")
    assert ledger.outbox.dead_letters(tenant="ris") == ()


def test_a_notice_is_purged_once_it_arrived_and_not_before(ledger: Ledger) -> None:
    move(ledger, begin(ledger), step=1)
    arrived, open_ = due(ledger)
    ledger.outbox.delivered(arrived.id)
    set_time(ledger, NOON + timedelta(days=2))
    assert ledger.retention.purge(KeptFor(None, timedelta(days=1), None), actor="a")["notices"] == 1
    (left,) = due(ledger)
    assert left.id == open_.id
