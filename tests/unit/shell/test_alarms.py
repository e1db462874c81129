"""An alarm when studies are not read as the table says, when a router does not follow, when a version is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from canary.assignment import StudyFacts, assign
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Canary, RoutingTable, Variant
from ledger import Ledger
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.control.data_plane_watch import DataPlaneWatch
from serve_apps.control.refusal_log import Refusal, RefusalLog
from serve_apps.control.router_push import GRACE_S, RouterPush

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TABLE = RoutingTable(
    7,
    "ich",
    Variant("champion", "1", "d1", "a1"),
    canary=Canary(Variant("canary", "2", "d2", "a2"), 5_000, "s"),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: NOW)
    yield made
    made.close()


def decided(patient: int) -> DecisionRow:
    assignment = assign(StudyFacts(f"st-{patient}", f"pt-{patient}"), TABLE)
    return decision_row(assignment, "ich", role="answered", outcome="ok")


def record(ledger: Ledger, rows: list[DecisionRow]) -> None:
    for number, row in enumerate(rows):
        ledger.decisions.record(f"job-{number}-{row.version}", f"st-{number}", [row])


def watch(ledger: Ledger) -> DataPlaneWatch:
    return DataPlaneWatch(ledger, lambda: NOW)


def test_what_the_table_says_raises_no_alarm(ledger: Ledger) -> None:
    record(ledger, [decided(n) for n in range(200)])
    found = watch(ledger)
    found.look({"ich": TABLE})
    assert found.alarms == {}


def test_another_version_than_intended_is_an_alarm_in_the_audit_once(ledger: Ledger) -> None:
    record(ledger, [replace(decided(1), version="9")])
    found = watch(ledger)
    for _ in range(3):
        found.look({"ich": TABLE})
    assert "another version" in found.alarms["ich"]
    assert [row.action for row in ledger.audit.rows()] == ["data-plane-alarm"]


def test_an_arm_that_loses_its_studies_is_an_alarm(ledger: Ledger) -> None:
    """Say its replicas hang, and what was sent to it never comes back."""
    record(ledger, [row for row in map(decided, range(120)) if row.arm != "canary"])
    found = watch(ledger)
    found.look({"ich": TABLE})
    assert "split" in found.alarms["ich"]


def test_the_evidence_is_the_same_in_one_look_and_in_many(ledger: Ledger) -> None:
    rows = [row for row in map(decided, range(60)) if row.arm != "canary"]
    many, one = watch(ledger), watch(ledger)
    for count in range(len(rows)):
        record(ledger, rows[: count + 1])
        many.look({"ich": TABLE})
    one.look({"ich": TABLE})
    assert one.alarms == many.alarms


def test_an_alarm_ends_with_its_cause(ledger: Ledger) -> None:
    record(ledger, [replace(decided(1), version="9")])
    found = watch(ledger)
    found.look({"ich": TABLE})
    found.look({"ich": replace(TABLE, generation=8)})
    assert found.alarms == {}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("answers", [[6, 7], [RuntimeError("gone"), 7], []])
def test_a_router_that_does_not_follow_is_an_alarm_after_a_while(answers: list[object]) -> None:
    clock = Clock()
    push = RouterPush(clock)
    push._newest = RoutingSnapshot(generation=7)
    push.note(answers)
    assert push.alarm is None
    clock.now = GRACE_S + 1
    push.note(answers)
    assert push.alarm is not None
    push.note([7, 8])
    assert push.alarm is None


def test_a_refusal_is_written_once_per_reason_also_after_a_restart(ledger: Ledger) -> None:
    refused = Refusal("ich", "4", "a byte was changed")
    for log in (RefusalLog(ledger), RefusalLog(ledger)):
        for _ in range(3):
            log.note([refused])
    RefusalLog(ledger).note([replace(refused, reason="not signed")])
    reasons = [row.detail["reason"] for row in ledger.audit.rows(subject="ich/4")]
    assert reasons == ["not signed", "a byte was changed"]
