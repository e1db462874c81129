"""Shadow tasks: pending with the result, late but never lost, and without a way to anybody's report."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

import ledger as package
from ledger import ClaimedShadow, LeaseLost, Ledger, Waiting
from ledger.retention import KeptFor
from ledger.tables import deliveries, documents, metadata, shadow_tasks
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.routed import complete_study, decided, pending, read_study

MAY_TOUCH = {
    "shadow_tasks",
    "shadow_outcomes",
    "decisions",
    "routing_tables",
    "audit",
    "waiting_work",
}
SHADOW_FILES = ("shadows.py", "shadow_records.py", "decisions.py", "escalations.py")
AT_ONCE = KeptFor(None, timedelta(), None)


def claim(ledger: Ledger, at: datetime = NOON, limit: int = 1, **only: object) -> tuple[ClaimedShadow, ...]:
    set_time(ledger, at)
    return ledger.shadows.claim("w", 10, limit, **only)  # type: ignore[arg-type]


def test_a_task_is_pending_with_the_result_and_carries_all_it_needs(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()], [pending()])
    assert ledger.shadows.backlog() == {("ich", "3"): 1}
    (task,) = claim(ledger)
    assert (task.job_id, task.study_key, task.attempt) == (job, "study-key", 1)
    assert (task.study, task.rule, task.delivered) == (pending().study, pending().rule, pending().delivered)
    assert (task.decision.variant, task.decision.version, task.decision.role) == (
        "shadow-next",
        "3",
        "shadow",
    )


def test_a_result_that_was_not_written_makes_no_task(ledger: Ledger) -> None:
    with pytest.raises(LeaseLost):
        complete_study(ledger, "no such token", [decided()], [pending()])
    assert ledger.shadows.backlog() == {}


def test_a_job_that_is_run_again_is_not_shadowed_twice(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()], [pending()])
    ledger.shadows.enqueue(job, [pending()])
    (task,) = claim(ledger, after(1), limit=9)
    ledger.shadows.done(task.token, {}, 1.0)
    ledger.shadows.enqueue(job, [pending()])
    assert ledger.shadows.backlog() == {}
    assert [s.row.outcome for s in ledger.decisions.of_job(job)] == ["normal", "read"]


def test_the_safety_net_goes_first_and_then_the_oldest(ledger: Ledger) -> None:
    first = read_study(ledger, shadows=[pending()])
    second = read_study(ledger, shadows=[pending(), pending("safety-net", "app-1", "1")], at=after(1))
    claimed = claim(ledger, after(2), limit=2)
    assert [(task.job_id, task.role) for task in claimed] == [(second, "safety-net"), (first, "shadow")]


def test_a_busy_router_takes_the_safety_net_only_and_none_of_what_it_cannot_run(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending(), pending("safety-net", "app-1", "1")])
    assert claim(ledger, limit=9, apps=frozenset({"app-2"})) == ()
    assert claim(ledger, limit=9, apps=frozenset({"app-3"}), roles=("safety-net",)) == ()
    assert [t.app for t in claim(ledger, limit=9, roles=("safety-net",))] == ["app-1"]
    assert [t.app for t in claim(ledger, limit=9, apps=frozenset({"app-1", "app-3"}))] == ["app-3"]


def test_a_dead_worker_s_task_goes_to_another_and_the_dead_one_is_fenced(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (dead,) = claim(ledger)
    assert claim(ledger, after(9)) == ()
    (again,) = claim(ledger, after(11))
    assert (again.attempt, again.losses) == (1, 1)
    for late in (
        lambda: ledger.shadows.done(dead.token, {}, 1.0),
        lambda: ledger.shadows.failed(dead.token, "x", None),
        lambda: ledger.shadows.release(dead.token),
    ):
        with pytest.raises(LeaseLost):
            late()
    ledger.shadows.done(again.token, {}, 1.0)
    with pytest.raises(LeaseLost):
        ledger.shadows.done(again.token, {}, 1.0)


def test_a_renewed_lease_is_not_lost(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (task,) = claim(ledger)
    set_time(ledger, after(9))
    assert ledger.shadows.renew([task.token, "stale"], 10) == {"stale"}
    assert claim(ledger, after(15)) == ()


def test_a_preempted_task_is_due_at_once_and_was_no_attempt(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    for _ in range(30):  # more often than a reading may be attempted
        (task,) = claim(ledger)
        assert task.attempt == 1
        ledger.shadows.release(task.token)
    assert ledger.shadows.backlog() == {("ich", "3"): 1}


def test_a_failure_that_may_pass_is_tried_again_not_before_its_time(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (task,) = claim(ledger)
    ledger.shadows.failed(task.token, "source-timeout", after(30))
    assert claim(ledger, after(29)) == ()
    assert [again.attempt for again in claim(ledger, after(30))] == [2]


@pytest.mark.parametrize("ends", ["done", "failed"])
def test_a_mask_waits_with_its_task_and_goes_when_that_has_ended(ledger: Ledger, ends: str) -> None:
    def masks() -> list[bytes | None]:
        with ledger.database.read() as connection:
            return list(connection.execute(sa.select(shadow_tasks.c.mask)).scalars())

    read_study(ledger, shadows=[replace(pending(), mask=b"packed")])
    (task,) = claim(ledger)
    assert task.mask == b"packed"
    ledger.shadows.release(task.token)
    (task,) = claim(ledger)
    assert (task.mask, masks()) == (b"packed", [b"packed"])
    if ends == "done":
        ledger.shadows.done(task.token, {"version": "3"}, 12.0)
    else:
        ledger.shadows.failed(task.token, "model-error", None)
    assert masks() == [None]


def test_a_failure_for_good_is_an_outcome_and_no_pair(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()], [pending()])
    (task,) = claim(ledger)
    ledger.shadows.failed(task.token, "model-error", None)
    (ended,) = ledger.shadows.outcomes("ich")
    assert (ended.outcome, ended.error_code, ended.job_id) == (None, "model-error", job)
    assert (ledger.shadows.pairs("ich", "3"), ledger.shadows.backlog()) == ((), {})
    assert [s.row.outcome for s in ledger.decisions.of_job(job)] == ["normal", "model-error"]


def test_a_study_that_the_silent_version_does_not_know_is_told_and_not_counted_against_it(
    ledger: Ledger,
) -> None:
    job = read_study(ledger, [decided()], [pending()])
    (task,) = claim(ledger)
    ledger.shadows.failed(task.token, "input-out-of-distribution", None)
    rows = [stored.row for stored in ledger.decisions.of_job(job)]
    assert [(row.outcome, row.counts) for row in rows] == [
        ("normal", True),
        ("input-out-of-distribution", False),
    ]


def test_a_study_that_kills_its_workers_again_and_again_is_given_up_and_told(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    for loss in range(3):
        assert len(claim(ledger, after(loss * 20))) == 1
    assert claim(ledger, after(100)) == ()
    assert [ended.error_code for ended in ledger.shadows.outcomes("ich")] == ["worker-lost"]


def test_a_pair_holds_what_was_delivered_and_what_the_shadow_says(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()], [pending()])
    (task,) = claim(ledger, after(3))
    ledger.shadows.done(task.token, {"priority_score": 87}, 250.0)
    (pair,) = ledger.shadows.pairs("ich", "3")
    assert (pair.job_id, pair.identity, pair.role) == (job, "patient:p", "shadow")
    assert (pair.delivered, pair.shadow) == (pending().delivered, {"priority_score": 87})
    assert ledger.shadows.pairs("ich", "2") == ()
    (ended,) = ledger.shadows.outcomes("ich")
    assert (ended.latency_ms, ended.study_key, ended.at) == (250.0, "study-key", after(3))
    shadow = ledger.decisions.of_job(job)[1].row
    assert (shadow.role, shadow.version, shadow.outcome, shadow.latency_ms) == ("shadow", "3", "read", 250.0)


def test_a_task_that_ended_names_its_study_no_more(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, {}, 1.0)
    with ledger.database.read() as connection:
        row = connection.execute(sa.select(shadow_tasks)).mappings().one()
    assert "1.2.840.99" not in str(dict(row))


def test_what_is_pending_outlives_its_job_and_what_was_said_outlives_both(ledger: Ledger) -> None:
    read_study(ledger, [decided()], [pending()])
    set_time(ledger, after(3600))
    assert ledger.retention.purge(AT_ONCE, actor="retention")["jobs"] == 1
    (task,) = claim(ledger, after(3600))
    ledger.shadows.done(task.token, {}, 1.0)
    set_time(ledger, after(7200))
    ledger.retention.purge(AT_ONCE, actor="retention")
    assert len(ledger.shadows.pairs("ich", "3")) == 1
    with ledger.database.read() as connection:
        assert connection.execute(sa.select(shadow_tasks)).first() is None


def test_only_a_person_discards_what_a_version_has_to_read_and_is_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.shadows.BATCH_SIZE", 2)
    for _ in range(5):
        read_study(ledger, shadows=[pending(), pending("safety-net", "app-1", "1")])
    (in_hand,) = claim(ledger, apps=("app-3",))
    discarded = ledger.shadows.discard("ich", "3", actor="alice", reason="it was withdrawn")
    assert (discarded, ledger.shadows.backlog("ich")) == (5, {("ich", "1"): 5})
    assert {ended.error_code for ended in ledger.shadows.outcomes("ich")} == {"discarded"}
    assert sum(row.detail["tasks"] for row in ledger.audit.rows()) == 5
    with pytest.raises(LeaseLost):
        ledger.shadows.done(in_hand.token, {}, 1.0)


def test_an_alias_as_long_as_mlflow_allows_fails_nobody_s_study(ledger: Ledger) -> None:
    long = "shadow-" + "x" * 248
    row = replace(decided(), variant=long, arm=long)
    job = read_study(ledger, [row], [replace(pending(), variant=long, app="a" * 255)])
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, {}, 1.0)
    ledger.transitions.record("ich", long, None, "3", generation=1, reason="set")
    assert [stored.row.variant for stored in ledger.decisions.of_job(job)] == [long, long]


def test_a_pending_task_is_a_shadow_s_or_the_safety_net_s() -> None:
    with pytest.raises(ValueError, match="shadow"):
        replace(pending(), role="answered")


def test_a_representation_for_a_log_holds_no_study(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    assert "1.2.840.99" not in repr(pending()) + repr(claim(ledger))


def test_a_task_that_its_worker_lost_is_due_at_once_after_a_short_lease(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending("safety-net", "app-1", "1")])
    set_time(ledger, NOON)
    ledger.shadows.claim("dead", 2, 1)
    assert claim(ledger, after(1.9)) == ()
    (again,) = claim(ledger, after(2))
    assert (again.attempt, again.losses) == (1, 1)


def test_a_lease_that_is_renewed_in_time_lasts_as_long_as_the_work(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (task,) = claim(ledger)
    for second in range(8, 400, 8):
        set_time(ledger, after(second))
        assert ledger.shadows.renew([task.token], 10) == frozenset()
        assert ledger.shadows.claim("thief", 10, 1) == ()
    ledger.shadows.done(task.token, {}, 1.0)


def test_a_wait_for_a_version_is_no_attempt(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    for second in range(30):
        (task,) = claim(ledger, after(second))
        assert task.attempt == 1
        ledger.shadows.failed(task.token, "model-unavailable", after(second + 1), counts=False)


def test_the_age_of_the_oldest_pending_task_is_known_by_role(ledger: Ledger) -> None:
    assert ledger.shadows.oldest_pending() is None
    read_study(ledger, shadows=[pending()])
    read_study(ledger, shadows=[pending("safety-net", "app-1", "1")], at=after(60))
    set_time(ledger, after(100))
    assert ledger.shadows.oldest_pending() == timedelta(seconds=100)
    assert ledger.shadows.oldest_pending("safety-net") == timedelta(seconds=40)
    (net,) = claim(ledger, after(100), roles=("safety-net",))
    assert ledger.shadows.oldest_pending("safety-net") == timedelta(seconds=40), "in hand is not done"
    ledger.shadows.done(net.token, {}, 1.0)
    assert ledger.shadows.oldest_pending("safety-net") is None


@pytest.mark.parametrize("ready", [1, 50])
def test_a_claim_costs_the_same_few_queries_however_many_applications_there_are(
    ledger: Ledger, ready: int
) -> None:
    for number in range(50):
        read_study(ledger, shadows=[pending(app=f"app-{number:02}", version=str(number))])
    apps = [f"app-{number:02}" for number in range(ready)]
    with statements(ledger) as heard:
        assert len(claim(ledger, apps=apps)) == 1
    assert len(selects(heard)) == 3
    with statements(ledger) as heard:
        assert claim(ledger, apps=["app-99"]) == (), "what lies there for others costs one query"
    assert len(selects(heard)) == 1


def selects(heard: Sequence[str]) -> list[str]:
    """The queries that look for work; PostgreSQL is asked for its time too."""
    return [statement for statement in heard if "FROM shadow_tasks" in statement]


def test_the_oldest_goes_first_whichever_application_it_is_for(ledger: Ledger) -> None:
    made = [
        read_study(ledger, shadows=[pending(app=f"app-{number % 3}", version="3")], at=after(number))
        for number in range(7)
    ]
    assert [task.job_id for task in claim(ledger, after(9), limit=7)] == made


# --- the fence: from a shadow there is no way to a document, a delivery or a result


@contextmanager
def statements(ledger: Ledger) -> Iterator[list[str]]:
    """Inside, every statement that reaches the database is written down."""
    heard: list[str] = []

    def hear(_: object, __: object, statement: str, *___: object) -> None:
        heard.append(statement)

    event.listen(ledger.database.engine, "before_cursor_execute", hear)
    yield heard
    event.remove(ledger.database.engine, "before_cursor_execute", hear)


def tables_in(statement: str) -> set[str]:
    words = set(statement.replace("(", " ").replace(".", " ").replace('"', " ").replace(",", " ").split())
    return words & set(metadata.tables)


def test_no_call_of_a_shadow_touches_a_table_of_results_or_deliveries(ledger: Ledger) -> None:
    for _ in range(5):
        read_study(ledger, [decided()], [pending()])
    with statements(ledger) as heard:
        done, retried, lost, released, left = claim(ledger, limit=5)
        ledger.shadows.renew([left.token], 10)
        ledger.shadows.done(done.token, {"sr": "a report"}, 1.0)
        ledger.shadows.failed(retried.token, "x", after(5))
        ledger.shadows.failed(lost.token, "x", None)
        ledger.shadows.release(released.token)
        ledger.shadows.enqueue("job", [pending()])
        ledger.shadows.discard("ich", "3", actor="a", reason="r")
        ledger.shadows.backlog()
        ledger.shadows.oldest_pending()
        ledger.shadows.outcomes("ich")
        ledger.shadows.pairs("ich", "3")
    touched = set().union(*map(tables_in, heard))
    assert {"shadow_tasks", "shadow_outcomes", "decisions"} <= touched <= MAY_TOUCH
    with ledger.database.read() as connection:
        assert all(connection.execute(sa.select(t)).first() is None for t in (documents, deliveries))


def test_the_files_of_shadows_import_no_table_or_module_of_results_and_deliveries() -> None:
    folder = Path(package.__file__).parent
    for name in SHADOW_FILES:
        imported = {
            word
            for node in ast.walk(ast.parse((folder / name).read_text()))
            if isinstance(node, ast.ImportFrom)
            for word in (node.module or "", *(alias.name for alias in node.names))
        }
        forbidden = {"documents", "deliveries", "jobs", "Outbox", "Delivery", "metadata", "tables"}
        assert not imported & (forbidden | {"ledger.outbox", "ledger.jobs", "ledger.leases"}), name


def test_while_live_studies_run_only_what_has_waited_long_enough_is_taken(ledger: Ledger) -> None:
    first = read_study(ledger, shadows=[pending()])
    read_study(ledger, shadows=[pending()], at=after(1))
    assert claim(ledger, after(299), limit=9, min_age_s=300) == ()
    assert [task.job_id for task in claim(ledger, after(300), limit=9, min_age_s=300)] == [first]


def test_what_waits_for_a_budget_is_not_begun_and_the_other_roles_of_the_version_go_on(
    ledger: Ledger,
) -> None:
    shadow, net = pending(), pending(role="safety-net")
    read_study(ledger, shadows=[shadow, net])
    waits = Waiting(shadow.app, "shadow", "ich", after(60), "the budget is spent")
    ledger.waiting_work.hold([waits])
    assert [task.role for task in claim(ledger, after(1), limit=9)] == ["safety-net"]
    assert ledger.waiting_work.pending_by_role() == {("ich", "shadow"): 1, ("ich", "safety-net"): 1}
    assert [task.role for task in claim(ledger, after(61), limit=9, roles={"shadow"})] == ["shadow"]


def test_what_was_read_lately_is_counted_by_model(ledger: Ledger) -> None:
    read_study(ledger, shadows=[pending()])
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, {}, 1.0)
    assert ledger.waiting_work.read_since(NOON) == {"ich": 1}
    assert ledger.waiting_work.read_since(after(1)) == {}
