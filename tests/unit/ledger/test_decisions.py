"""Why which version read which study: kept once, computable again, and countable."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary.data_plane import Intent, Served, intent_of, verify_data_plane
from canary.explain import explain
from canary.verdict import Verdict
from ledger import AssignedGroup, LeaseLost, Ledger
from ledger.decisions import keep_tables
from ledger.tables import decisions, routing_tables, shadow_tasks
from tests.unit.ledger.conftest import NOON, PRINTABLE, after, set_time
from tests.unit.ledger.routed import complete_study, decided, pending, read_study, stood_in, table

HOUR = timedelta(hours=1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patient=st.text(PRINTABLE, min_size=1, max_size=12), weight_bp=st.integers(0, 10_000))
def test_a_stored_decision_computes_to_what_it_says(ledger: Ledger, patient: str, weight_bp: int) -> None:
    row = decided(patient, table(weight_bp))
    (stored,) = ledger.decisions.of_job(read_study(ledger, [row]))
    assert (stored.row, stored.study_key, stored.at) == (replace(row, assigned_at=NOON), "study-key", NOON)
    assert explain(stored.row).agrees


def test_a_decision_is_written_with_the_result_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(LeaseLost):
        complete_study(ledger, "no such token", [decided()])
    assert ledger.decisions.served("ich", NOON) == ()
    assert ledger.decisions.exposures("ich", NOON) == ()


def test_a_job_that_is_repeated_writes_over_its_own_rows(ledger: Ledger) -> None:
    first = decided()
    ledger.decisions.record("job", "s", [first])
    set_time(ledger, NOON + HOUR)
    ledger.decisions.record("job", "s", [replace(first, latency_ms=99.0)])
    (stored,) = ledger.decisions.of_job("job")
    assert (stored.row.latency_ms, stored.at) == (99.0, NOON + HOUR)


def test_two_attempts_by_one_version_in_one_job_are_one_row(ledger: Ledger) -> None:
    failed = decided(role="failed")
    ledger.decisions.record("job", "s", [failed, replace(failed, latency_ms=7.0)])
    assert [stored.row.latency_ms for stored in ledger.decisions.of_job("job")] == [7.0]


def test_who_was_to_answer_is_told_first(ledger: Ledger) -> None:
    rows = (replace(decided(), role="shadow", version="3"), *reversed(stood_in(decided())))
    job = read_study(ledger, rows)
    assert [s.row.role for s in ledger.decisions.of_job(job)] == ["failed", "answered", "shadow"]


def test_an_identity_counts_once_where_the_draw_sent_it(ledger: Ledger) -> None:
    for patient in ("a", "a", "b"):
        read_study(ledger, [decided(patient)])
    read_study(ledger, stood_in(decided("c")))
    assert ledger.decisions.counts("ich", NOON) == {
        ("canary", "2", "answered"): 2,
        ("canary", "2", "failed"): 1,
    }
    assert ledger.decisions.counts("ich", NOON + HOUR) == {}
    assert ledger.decisions.counts("ich", NOON, generation=2) == {}
    assert ledger.decisions.counts("chest", NOON) == {}


def test_what_a_rule_or_a_shadow_did_is_no_draw(ledger: Ledger) -> None:
    row = decided()
    read_study(ledger, [replace(row, assignment_reason="rule", rule="north")])
    read_study(ledger, [replace(row, role="shadow", variant="shadow-next", version="3")])
    assert ledger.decisions.counts("ich", NOON) == {}
    assert ledger.decisions.exposures("ich", NOON) == ()
    assert ledger.decisions.served("ich", NOON) == (Served(1, "canary", "2", 1),)


def test_the_data_plane_is_verified_from_what_is_stored(ledger: Ledger) -> None:
    routing = table(5_000)
    for number in range(60):
        read_study(ledger, [decided(f"patient {number}", routing)])
    read_study(ledger, stood_in(decided("patient 1", table(10_000))))  # a stand-in is no stranger
    served = ledger.decisions.served("ich", NOON, generation=1)
    assert sum(s.readings for s in served) == 61
    assert verify_data_plane(intent_of(routing), served).verdict is Verdict.SUCCESSFUL
    assert verify_data_plane(Intent(1, {"champion": "1", "canary": "9"}), served).verdict is Verdict.FAILED


def test_an_identity_is_exposed_once_per_salt_with_the_weights_of_that_moment(ledger: Ledger) -> None:
    read_study(ledger, [decided("a", table(0, salt="s1"))])
    read_study(ledger, [decided("a", table(10_000, salt="s1"))], at=NOON + HOUR)
    read_study(ledger, [decided("a", table(10_000, salt="s2"))], at=NOON + 2 * HOUR)
    first, second = ledger.decisions.exposures("ich", NOON)
    assert (first.salt, first.arm, first.weights_bp["canary"], first.at) == ("s1", "champion", 0, NOON)
    assert (second.salt, second.arm, second.weights_bp["canary"]) == ("s2", "canary", 10_000)
    assert ledger.decisions.exposures("ich", NOON + HOUR) == (second,)


def test_a_canary_that_failed_was_exposed_all_the_same(ledger: Ledger) -> None:
    read_study(ledger, stood_in(decided("a")))
    (exposure,) = ledger.decisions.exposures("ich", NOON)
    assert (exposure.arm, exposure.version) == ("canary", "2")


def test_what_an_older_table_still_assigns_after_it_was_superseded_is_seen(ledger: Ledger) -> None:
    """Say by a router that goes on with it after `weight 0`."""
    old, new = table(10_000, generation=7), table(0, generation=8)
    for second, routing in ((0, old), (10, new), (20, old)):
        row = replace(decided(f"p{second}", routing), epoch=3, assigned_at=after(second))
        read_study(ledger, [row], at=after(second + 5))
    canary, champion = ledger.decisions.assigned_since("ich", after(0))
    assert canary == AssignedGroup(3, 7, "canary", "2", after(20), 2)
    assert champion == AssignedGroup(3, 8, "champion", "1", after(10), 1)
    assert ledger.decisions.assigned_since("ich", after(11)) == (replace(canary, readings=1),)


def test_a_row_without_a_moment_of_assignment_has_that_of_its_writing(ledger: Ledger) -> None:
    read_study(ledger, [decided()], at=after(5))
    (group,) = ledger.decisions.assigned_since("ich", NOON)
    assert group.last_assigned_at == after(5)


def test_the_failures_of_a_champion_are_counted_by_study(ledger: Ledger) -> None:
    champion = decided("a", table(0))
    for number in range(3):
        failed = replace(champion, role="failed", outcome="model-error")
        ledger.decisions.record(f"job {number}", "s", [failed])
        ledger.decisions.record(f"job {number}", "s", [failed])
    ledger.decisions.record("job 2", "s", [champion])
    ledger.decisions.record("outside", "s", [replace(champion, role="failed", counts=False)])
    ledger.decisions.record("fallback", "s", stood_in(decided("b")))
    ledger.decisions.record("shadow", "s", [replace(champion, role="shadow")])
    assert ledger.decisions.champion_failures("ich", NOON) == (3, 2)
    assert ledger.decisions.champion_failures("ich", after(1)) == (0, 0)


def test_a_failure_that_says_nothing_of_the_arm_does_not_count_against_it(ledger: Ledger) -> None:
    """A study outside its intended use, or one that left it no time; it was drawn all the same."""
    row = replace(decided("a", table(salt="s1")), role="failed", outcome="outside-intended-use", counts=False)
    read_study(ledger, [row])
    assert ledger.decisions.counts("ich", NOON) == {}
    assert ledger.ab_results.readings("ich", "s1") == ()
    assert len(ledger.decisions.exposures("ich", NOON)) == 1


def test_a_study_that_failed_is_explained(ledger: Ledger) -> None:
    row = replace(decided(), role="failed", outcome="model-error")
    ledger.decisions.record("job", "s", [row])
    (stored,) = ledger.decisions.of_job("job")
    assert explain(stored.row).agrees


def test_a_table_is_kept_once_however_many_studies_it_decided(ledger: Ledger) -> None:
    under_one = [read_study(ledger, [decided(patient, table(1_000))], [pending()]) for patient in "abc"]
    other = read_study(ledger, [decided("d", table(2_000, generation=2))])
    with ledger.database.read() as connection:
        digests = connection.execute(sa.select(routing_tables.c.digest)).scalars().all()
        tasks = connection.execute(sa.select(shadow_tasks.c.decision)).scalars().all()
    stored = [one.row for job in (*under_one, other) for one in ledger.decisions.of_job(job)]
    assert set(digests) == {row.table_digest for row in stored}
    assert len(digests) == 3, "one of each of the two tables, and that of the shadow's own decision"
    assert [task["table"] for task in tasks] == [""] * 3, "a task names its table by the digest"
    assert all(explain(row).agrees for row in stored if row.role == "answered")


def test_a_table_whose_transaction_was_rolled_back_is_written_by_the_next(ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        keep_tables(ledger.database, connection, [decided()], NOON)
        connection.rollback()
    (stored,) = ledger.decisions.of_job(read_study(ledger, [decided()]))
    assert explain(stored.row).agrees


def test_a_row_of_a_former_release_is_read(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()])
    with ledger.database.write() as connection:
        connection.execute(sa.update(decisions).values(facts=None, table_digest=None))
    (stored,) = ledger.decisions.of_job(job)
    assert (stored.row.facts, stored.row.table, stored.row.table_digest) == ("", "", "")
    assert explain(stored.row).agrees
