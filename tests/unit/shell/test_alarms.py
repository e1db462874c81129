"""An alarm when studies are not read as the table says, when a champion fails, when shadows wait; refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from canary.assignment import StudyFacts, assign
from canary.explain import DecisionRow, decision_row
from canary.gates import GateVerdict
from canary.observation import ReconcilerState, VersionView
from canary.routing_table import Canary, RoutingTable, Variant
from canary.target import ModelTarget, Target
from canary.verdict import Verdict
from ledger import Ledger
from serve_apps.control.admission import Refused
from serve_apps.control.observe import Observation
from serve_apps.control.snapshot import Refusal, refusals
from serve_apps.control.watch import (
    IN_FORCE_GRACE,
    DataPlaneWatch,
    PlaneSeen,
    RefusalLog,
    TableInForce,
    audit_chain,
    ledger_log,
    shadow_backlog,
)

TABLE = RoutingTable(
    7,
    "ich",
    Variant("champion", "1", "d1", "a1"),
    canary=Canary(Variant("canary", "2", "d2", "a2"), 5_000, "s"),
)
IN_FORCE = {"ich": TableInForce(TABLE, 1)}


class Clock:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    made = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock)
    yield made
    made.close()


@pytest.fixture
def watch(ledger: Ledger, clock: Clock) -> DataPlaneWatch:
    return DataPlaneWatch(ledger.decisions, ledger.audit, clock=clock)


def decided(patient: int, table: RoutingTable = TABLE, **changes: object) -> DecisionRow:
    assignment = assign(StudyFacts(f"st-{patient}", f"pt-{patient}"), table)
    row = decision_row(assignment, "ich", role="answered", outcome="ok", epoch=1)
    return replace(row, **changes)  # type: ignore[arg-type]


def record(ledger: Ledger, rows: list[DecisionRow]) -> None:
    for number, row in enumerate(rows):
        ledger.decisions.record(f"job-{number}-{row.version}-{row.generation}", f"st-{number}", [row])


def test_what_the_table_says_raises_no_alarm(ledger: Ledger, watch: DataPlaneWatch) -> None:
    record(ledger, [decided(n) for n in range(200)])
    watch.look(IN_FORCE)
    assert watch.alarms == {}


def test_another_version_than_intended_is_an_alarm_in_the_audit_once(
    ledger: Ledger, watch: DataPlaneWatch
) -> None:
    record(ledger, [decided(1, version="9")])
    for _ in range(3):
        watch.look(IN_FORCE)
    assert "another version" in watch.alarms["ich"]
    assert [row.action for row in ledger.audit.rows()] == ["data-plane-alarm"]


def test_an_arm_that_loses_its_studies_is_an_alarm_with_the_same_words_throughout(
    ledger: Ledger, watch: DataPlaneWatch
) -> None:
    """Say its replicas hang, and what was sent to it never comes back. The evidence is the same in many looks."""
    rows = [row for row in map(decided, range(150)) if row.arm != "canary"]
    sentences = set()
    for count in range(60, len(rows), 12):
        record(ledger, rows[: count + 1])
        watch.look(IN_FORCE)
        sentences.add(watch.alarms.get("ich"))
    assert sentences <= {None, "the split is not the weight"}
    assert watch.alarms == {"ich": "the split is not the weight"}
    assert len(ledger.audit.rows()) == 1


def after(table: RoutingTable, **changes: object) -> dict[str, TableInForce]:
    return {"ich": TableInForce(replace(table, generation=8, **changes), 1)}  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"canary": None}, {"frozen": True}], ids=["weight 0", "freeze"])
def test_a_router_that_goes_on_with_the_old_table_is_an_alarm(
    ledger: Ledger, watch: DataPlaneWatch, clock: Clock, changes: dict[str, object]
) -> None:
    record(ledger, [decided(1)])
    watch.look(after(TABLE, **changes))
    assert watch.alarms == {}, "what was assigned before is no fault"
    clock.now += IN_FORCE_GRACE + timedelta(seconds=1)
    watch.look(after(TABLE, **changes))
    assert watch.alarms == {}
    record(ledger, [decided(2), decided(3)])
    watch.look(after(TABLE, **changes))
    assert watch.alarms == {"ich": "a router goes on with an older table than the one in force"}


def test_an_alarm_ends_with_its_cause(ledger: Ledger, watch: DataPlaneWatch) -> None:
    record(ledger, [decided(1, version="9")])
    watch.look(IN_FORCE)
    watch.look(after(TABLE))
    assert watch.alarms == {}


def test_a_champion_that_fails_is_an_alarm(ledger: Ledger, watch: DataPlaneWatch) -> None:
    champions = [row for row in map(decided, range(60)) if row.variant == "champion"]
    record(ledger, champions[:2])
    failed = [replace(row, role="failed", outcome="model-error") for row in champions[:2]]
    record(ledger, failed)
    watch.look(IN_FORCE)
    assert "ich/champion" not in watch.alarms, "two failures are no pattern"
    record(ledger, [replace(row, role="failed", outcome="model-error") for row in champions[:6]])
    watch.look(IN_FORCE)
    assert "the champion fails" in watch.alarms["ich/champion"]


def test_a_failure_that_says_nothing_of_the_champion_does_not_count(
    ledger: Ledger, watch: DataPlaneWatch
) -> None:
    rows = [decided(n, role="failed", outcome="outside-intended-use", counts=False) for n in range(20)]
    record(ledger, rows)
    watch.look(IN_FORCE)
    assert "ich/champion" not in watch.alarms


@pytest.mark.parametrize(
    ("age", "is_alarm"), [(None, False), (timedelta(hours=1), False), (timedelta(hours=2), True)]
)
def test_shadows_that_wait_for_too_long_are_an_alarm(
    ledger: Ledger, clock: Clock, age: timedelta | None, is_alarm: bool
) -> None:
    watch = DataPlaneWatch(ledger.decisions, ledger.audit, (shadow_backlog(lambda: age, 3600.0),), clock)
    watch.look({})
    assert ("shadows" in watch.alarms) is is_alarm


@pytest.mark.parametrize(("size", "is_alarm"), [(0, False), (100, False), (101, True)])
def test_a_log_that_cannot_be_cut_is_an_alarm(
    ledger: Ledger, clock: Clock, size: int, is_alarm: bool
) -> None:
    watch = DataPlaneWatch(ledger.decisions, ledger.audit, (ledger_log(lambda: size, 100),), clock)
    watch.look({})
    assert ("ledger" in watch.alarms) is is_alarm


def test_a_refusal_is_written_once_per_reason_also_after_a_restart(ledger: Ledger) -> None:
    refused = Refusal("ich", "4", "a byte was changed")
    for log in (RefusalLog(ledger.audit), RefusalLog(ledger.audit)):
        assert log.has_news([refused])
        for _ in range(3):
            log.note([refused])
        assert not log.has_news([refused])
    RefusalLog(ledger.audit).note([replace(refused, reason="not signed")])
    reasons = [row.detail["reason"] for row in ledger.audit.rows(subject="ich/4")]
    assert reasons == ["not signed", "a byte was changed"]


def test_a_version_that_is_refused_has_one_reason_in_the_audit() -> None:
    """It was admitted and silenced by the gate before its files were changed: two reasons would take turns."""
    view = VersionView("2", "d", "mv-ich-2", GateVerdict(frozenset(), False, "nobody cleared it"))
    state = ReconcilerState(aliases={"challenger": "2"}, versions={"2": view})
    target = Target((ModelTarget("ich", (), (), None, state, ()),))
    seen = Observation({}, refused={("ich", "2"): Refused("a byte was changed")})
    assert refusals(target, seen) == (Refusal("ich", "2", "a byte was changed"),)


def test_a_champions_alarm_does_not_flicker_at_its_bound(ledger: Ledger, watch: DataPlaneWatch) -> None:
    def reads(first: int, count: int, role: str) -> None:
        for n in range(first, first + count):
            row = decided(n, replace(TABLE, canary=None), role=role, variant="champion", arm="champion")
            ledger.decisions.record(f"job-{role}-{n}", f"st-{n}", [row])

    reads(0, 4, "failed")
    reads(100, 12, "answered")
    watch.look(IN_FORCE)
    assert "ich/champion" in watch.alarms
    reads(200, 10, "answered")
    watch.look(IN_FORCE)
    assert "ich/champion" in watch.alarms, "a little under the bound"
    reads(300, 40, "answered")
    watch.look(IN_FORCE)
    assert "ich/champion" not in watch.alarms


def test_a_broken_audit_is_an_alarm_and_every_row_is_verified_once_a_day(
    ledger: Ledger, clock: Clock
) -> None:
    looks: list[bool] = []
    wrong = {True: "row 2 of the audit was changed", False: None}

    def keep(full: bool) -> str | None:
        looks.append(full)
        return wrong[full]

    watch = DataPlaneWatch(ledger.decisions, ledger.audit, (audit_chain(keep, clock),), clock)
    for _ in range(3):
        watch.look({})
        clock.now += timedelta(seconds=40)
    assert looks == [True, False, False]
    assert watch.alarms == {"audit": "row 2 of the audit was changed"}
    wrong[True] = None
    clock.now += timedelta(days=1)
    watch.look({})
    assert watch.alarms == {}


def test_what_was_found_is_told_with_the_table_that_it_was_found_under(
    ledger: Ledger, watch: DataPlaneWatch
) -> None:
    (in_force,) = IN_FORCE.values()
    place = (in_force.epoch, in_force.table.generation)
    watch.look(IN_FORCE)
    assert watch.planes == {"ich": PlaneSeen(*place, Verdict.INCONCLUSIVE)}
    record(ledger, [decided(n) for n in range(200)])
    watch.look(IN_FORCE)
    assert watch.planes == {"ich": PlaneSeen(*place, Verdict.SUCCESSFUL)}
    watch.look({})
    assert watch.planes == {}
