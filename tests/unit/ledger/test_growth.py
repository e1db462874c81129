"""What is asked all day goes by an index to what it asks for, and passes by whatever was read before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from core.errors import PoisonStudy
from ledger import JobState, KeptFor, Ledger, Recall
from ledger.batches import counts_of
from ledger.jobs import DAY
from ledger.paired_feed import Span, Versions
from ledger.pairs import _New
from ledger.rollout_feed import Place
from ledger.truths import truth_id
from tests.unit.ledger.conftest import NOON, after
from tests.unit.ledger.paired import told
from tests.unit.ledger.routed import decided, read_study
from tests.unit.ledger.studies import submit

Ask = Callable[[Ledger], object]
VERSIONS = Versions("ich", "1", "2")
RECALL = Recall("r1", "ich", "2", 1, NOON, NOON, "rollout", "it is worse", NOON, False)


def _counts(ledger: Ledger) -> object:
    with ledger.database.read() as connection:
        return counts_of(connection, ["a replay"])


GROWING = (
    "jobs|documents|deliveries|decisions|exposures|readings|idempotency|shadow_tasks|shadow_outcomes|audit"
    "|truths|truth_notes|paired_readings|paired_studies|escalations|recall_items|recall_notes"
)
BOUNDED = "jobs_by_age|recall_items_open"  # the newest, up to a limit; what waits for a person
WHOLE_TABLE = re.compile(rf"^SCAN ({GROWING})\b(?! USING INDEX ({BOUNDED}))")


def known_pairs(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        _New({("ich", "1", "2", "pt-1"): {}}, {}).without_known(connection)


ASKED: dict[str, tuple[str, Ask]] = {
    "the former report of a study": (
        "jobs_by_study",
        lambda of: of.jobs.former_reports("1.2.3", "ich", NOON),
    ),
    "the jobs of a study": ("jobs_by_study", lambda of: of.jobs.list_jobs(study_uid="1.2.3")),
    "the newest jobs": ("jobs_by_age", lambda of: of.jobs.list_jobs()),
    "the jobs of a model": ("jobs_by_model", lambda of: of.jobs.list_jobs(model="ich")),
    "the jobs that failed": ("jobs_by_state", lambda of: of.jobs.list_jobs(state=JobState.FAILED)),
    "jobs by state": ("jobs_ended", lambda of: of.jobs.counts()),
    "open jobs": ("jobs_to_claim", lambda of: of.jobs.open_jobs()),
    "what waits for a replica": ("jobs_to_claim", lambda of: of.waiting.all()),
    "jobs that are due": ("jobs_to_claim", lambda of: of.leases.due(4, 0.0)),
    "failures of the day": ("jobs_ended", lambda of: of.failures.number(PoisonStudy.code, DAY)),
    "who read of late": ("decisions_by_assignment", lambda of: of.decisions.assigned_since("ich", NOON)),
    "failures of a champion": ("decisions_by_", lambda of: of.decisions.champion_failures("ich", NOON)),
    "old jobs": ("jobs_ended", lambda of: of.retention.purge(KeptFor(None, DAY, None), actor="retention")),
    "a study in the inbox": ("jobs_by_study", lambda of: of.retention.use_of("inbox", "1.2.3")),
    "pending shadows": ("shadow_tasks_to_claim", lambda of: of.shadows.backlog()),
    "truths of a study": ("truths_by_study", lambda of: of.truths.of_study("st-1", tenant="ris")),
    "a truth that comes again": ("truths_1", lambda of: of.truths._find(truth_id(told()))),
    "pairs of readings": ("shadow_outcomes_by_time", lambda of: of.pairs.collect("ich", 0.05)),
    "the adjudication queue": (
        "paired_readings_open",
        lambda of: of.adjudications.open_items("ich", ("1", "2"), 9, tenant="ris"),
    ),
    "adjudications to come": (
        "paired_readings_by_time",
        lambda of: of.pairs.counts("ich", NOON, tenant=None),
    ),
    "what evidence takes": (
        "paired_readings_by_versions",
        lambda of: of.paired_truths.outcomes("ich", "1", "2", "1386000@SCT"),
    ),
    "draws of a rollout": (
        "exposures_by_time",
        lambda of: of.rollout_feed.draws("ich", Place(NOON, ""), NOON),
    ),
    "answers of a candidate": (
        "decisions_by_time",
        lambda of: of.rollout_feed.answers("ich", "2", Place(NOON, ""), NOON),
    ),
    "failures of a candidate": ("decisions_failed", lambda of: of.rollout_feed.failures("ich", "2", NOON)),
    "escalations of a candidate": (
        "sqlite_autoindex_decisions_1",
        lambda of: of.rollout_feed.escalated("ich", "2", 0, NOON),
    ),
    "new pairs of a rollout": (
        "paired_studies_by_arrival",
        lambda of: of.paired_feed.studies(VERSIONS, Span(NOON, NOON)),
    ),
    "all pairs of a rollout": (
        "paired_studies_by_arrival",
        lambda of: of.paired_feed.studies(VERSIONS, Span(None, NOON)),
    ),
    "new values of a rollout": (
        "paired_readings_by_",
        lambda of: of.paired_feed.measured(VERSIONS, "12738006@SCT", Span(NOON, NOON)),
    ),
    "patients with a new pair or truth": (
        "truths_by_arrival",
        lambda of: of.paired_feed.outcomes(VERSIONS, Span(NOON, NOON)),
    ),
    "which pairs are known": ("sqlite_autoindex_paired_studies_1", lambda of: known_pairs(of)),
    "what a champion answered": (
        "decisions_by_time",
        lambda of: list(of.past_readings.answered("ich", "1", NOON, NOON)),
    ),
    "who was compared": (
        "paired_readings_by_",
        lambda of: of.past_readings.unread((), "1", "2", "ich"),
    ),
    "pending studies of a replay": ("shadow_tasks_of_batch", _counts),
    "what a replay has read": ("shadow_outcomes_of_batch", _counts),
    "the newest replays of a model": ("replays_by_time", lambda of: of.replays.newest(9, "ich")),
    "studies of a withdrawn version": (
        "decisions_by_time",
        lambda of: of.recalled_studies.answered(RECALL, NOON, after(60), 9),
    ),
    "studies that got the result of a withdrawn version": (
        "jobs_by_model",
        lambda of: of.recalled_studies.answered_by_it(RECALL, NOON, after(60), 9),
    ),
    "what the champion has read of a recall": (
        "recall_items_by_state",
        lambda of: of.recalled_studies.reread(RECALL, "1", 9),
    ),
    "what the champion has still to read of a recall": (
        "recall_items_by_state",
        lambda of: of.recalled_studies.to_reread(RECALL, "app-1", 9),
    ),
    "other results of a recalled study": (
        "jobs_by_study",
        lambda of: of.recalled_studies.results_of("1.2.3", "ich"),
    ),
    "tasks of recalls": ("shadow_tasks_to_claim", lambda of: of.recalled_studies.pending_tasks("app-1")),
    "tasks of a former champion": (
        "shadow_tasks_to_claim",
        lambda of: of.recalled_studies.drop_tasks_of_others("ich", "app-1"),
    ),
    "recalls under way": ("recall_items_by_state", lambda of: of.recalls.under_way()),
    "open recalls": ("recall_items_open", lambda of: of.recalls.open_lists()),
    "items of a recall": (
        "recall_items",
        lambda of: of.recall_lists.ranks("r1", tenant="ris"),
    ),
    "dead letters": ("deliveries_due", lambda of: of.outbox.dead_letters()),
}


@contextmanager
def plans_of(ledger: Ledger) -> Iterator[list[str]]:
    """The steps that SQLite takes for each query that is asked meanwhile."""
    steps: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            plan = connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps.extend(str(row[3]) for row in plan)

    event.listen(ledger.database.engine, "before_cursor_execute", explain)
    yield steps
    event.remove(ledger.database.engine, "before_cursor_execute", explain)


@pytest.mark.parametrize("question", ASKED)
def test_a_question_of_every_day_goes_by_its_index(question: str, ledger: Ledger) -> None:
    index, ask = ASKED[question]
    read_study(ledger, [decided()])
    submit(ledger)
    with plans_of(ledger) as steps:
        ask(ledger)
    assert any(index in step for step in steps), steps
    assert not [step for step in steps if WHOLE_TABLE.match(step)], steps
