"""Recalls in the ledger: which runs get a list, what a version answered, and who has read it since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.recall import RecallState
from canary.rollout.advance import Event
from canary.rollout.status import RolloutPhase
from ledger import (
    KeptFor,
    Ledger,
    NewRecallItem,
    Recall,
    ShadowTask,
    StoredRollout,
)
from serve_apps.application.recalled import outcome_of
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.recalled import (
    EVER,
    a_recall,
    answered,
    answered_as,
    by,
    compared,
    listed,
    outcome,
    read_for,
)
from tests.unit.ledger.routed import decided


def found(ledger: Ledger, recall: Recall, since: Any = NOON, until: Any = EVER) -> list[str]:
    return [one.job_id for one in ledger.recalled_studies.answered(recall, since, until, 10)]


def begin(ledger: Ledger, **changes: Any) -> StoredRollout:
    return ledger.rollouts.begin(plan(), begun(**changes), actor="ris/ada")


def move(ledger: Ledger, before: StoredRollout, phase: RolloutPhase) -> StoredRollout:
    status = replace(before.status, phase=phase, weight_bp=0, ending="it is worse")
    return ledger.rollouts.move(
        before, status, [Event(before.status, status, NOON, "rollout", "it is worse")]
    )


def test_a_run_that_went_back_waits_for_its_list_until_it_has_one(ledger: Ledger) -> None:
    run = begin(ledger)
    assert ledger.recalls.unmade() == ()
    run = move(ledger, run, RolloutPhase.ROLLING_BACK)
    (unmade,) = ledger.recalls.unmade()
    assert (unmade.model, unmade.version, unmade.run, unmade.reason) == ("chest-ct", "2", 1, "it is worse")
    assert (unmade.phase, unmade.ended_at) == (RolloutPhase.ROLLING_BACK, None)
    move(ledger, run, RolloutPhase.FAILED)
    assert ledger.recalls.unmade()[0].ended_at == NOON
    a_recall(ledger, model="chest-ct")
    assert ledger.recalls.unmade() == ()


def test_a_run_that_was_begun_again_at_once_still_gets_its_list(ledger: Ledger) -> None:
    run = move(ledger, begin(ledger), RolloutPhase.FAILED)
    again = replace(run.status, phase=RolloutPhase.PROGRESSING, run=2)
    ledger.rollouts.move(run, again, [Event(run.status, again, NOON, "ris/ada", "once more")])
    assert [(one.run, one.phase) for one in ledger.recalls.unmade()] == [(1, RolloutPhase.FAILED)]


def test_a_list_is_made_once_for_a_run_and_once_for_a_time(ledger: Ledger) -> None:
    first = a_recall(ledger)
    assert a_recall(ledger, after(5)) == first
    asked = a_recall(ledger, run=None)
    assert a_recall(ledger, run=None) == asked != first
    assert a_recall(ledger, after(5), run=None).id not in (asked.id, first.id)
    rows = [row for row in ledger.audit.rows() if row.action == "recall"]
    assert len(rows) == 3
    assert rows[-1].detail == {"recall": first.id, "version": "2", "run": 1}


def test_a_study_is_found_in_whatever_role_the_version_answered_it(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    wanted = [
        answered(ledger, after(number), variant=variant)
        for number, variant in enumerate(("canary", "arm-b", "champion"))
    ]
    answered(ledger, after(9), version="1", variant="champion")
    assert found(ledger, recall) == wanted


def test_what_came_before_the_run_or_after_the_withdrawal_is_not_found(ledger: Ledger) -> None:
    recall = a_recall(ledger, after(10))
    answered(ledger, after(9))
    first, last = answered(ledger, after(10)), answered(ledger, after(19))
    answered(ledger, after(20))
    assert found(ledger, recall, after(10), after(20)) == [first, last]


def test_a_study_that_the_version_only_read_or_failed_is_not_found(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    job = answered(ledger, version="1")
    rows = [replace(by("2"), role=role) for role in ("shadow", "failed", "safety-net")]
    ledger.decisions.record(job, "st", rows)
    assert found(ledger, recall) == []


def test_a_job_that_got_the_result_of_an_earlier_reading_is_found_too(ledger: Ledger) -> None:
    recall = a_recall(ledger, after(100))
    reading = answered(ledger, after(1))
    got = answered_as(ledger, reading, after(101))
    assert found(ledger, recall, after(100)) == [], "the reading itself was before the run"
    (study,) = ledger.recalled_studies.answered_by_it(recall, after(100), EVER, 10)
    assert (study.job_id, study.reading_id, study.tenant) == (got, reading, "other")
    assert ledger.recalled_studies.answered_by_it(recall, after(100), after(101), 10) == ()
    ledger.recalls.add(recall.id, [NewRecallItem(study, {})])
    assert ledger.recalled_studies.answered_by_it(recall, after(100), EVER, 10) == ()


def test_a_study_is_on_the_list_once(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (study,) = ledger.recalled_studies.answered(recall, NOON, EVER, 10)
    assert ledger.recalls.add(recall.id, [NewRecallItem(study, {"version": "2"})]) == 1
    assert ledger.recalls.add(recall.id, [NewRecallItem(study, {"version": "2"})]) == 0
    assert found(ledger, recall) == []
    assert len(ledger.recall_lists.ranks(recall.id, tenant=None)) == 1


def test_two_jobs_of_a_study_are_one_item_with_the_newest_answer(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger, presence="absent")
    newest = answered(ledger, after(1), presence="present")
    other = answered(ledger, after(2), "1.2.4")
    assert len(listed(ledger, recall)) == 2
    assert found(ledger, recall) == [], "all three jobs are on the list"
    pending = ledger.recalled_studies.to_reread(recall, "app-1", 10)
    assert [one.reading_id for one in pending] == [other, newest]
    assert pending[1].delivered["findings"][0]["presence"] == "present"
    assert ledger.recalls.open_lists()[0].open_items == 2


def test_an_answer_that_comes_later_takes_the_place_of_what_was_there(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger, presence="absent")
    (first,) = listed(ledger, recall)
    compared(ledger, first)
    newest = answered(ledger, after(1), presence="present")
    (item,) = listed(ledger, recall)
    (rank,) = ledger.recall_lists.ranks(recall.id, tenant=None)
    assert (item != first, rank.state, rank.is_open) == (True, RecallState.PENDING, True)
    assert [one.reading_id for one in ledger.recalled_studies.to_reread(recall, "app-1", 10)] == [newest]
    assert ledger.recalls.open_lists()[0].open_items == 1


def test_the_same_answer_once_more_leaves_what_people_know_of_the_study(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (first,) = listed(ledger, recall)
    compared(ledger, first)
    ledger.recalls.close("ich", first, "called the ward", tenant=None, actor="ris")
    answered(ledger, after(1))
    assert listed(ledger, recall) == [first]
    assert ledger.recalled_studies.to_reread(recall, "app-1", 10) == ()
    assert ledger.recalls.open_lists() == ()


def test_an_older_answer_that_is_found_later_changes_nothing(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger, presence="absent")
    answered(ledger, after(1), presence="present")
    older, newer = ledger.recalled_studies.answered(recall, NOON, EVER, 10)
    for one in (newer, older):
        assert ledger.recalls.add(recall.id, [NewRecallItem(one, outcome_of(one.result))]) == 1
    (pending,) = ledger.recalled_studies.to_reread(recall, "app-1", 10)
    assert pending.reading_id == newer.job_id


def test_a_study_without_a_pseudonym_joins_no_other(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    answered(ledger, after(1), "1.2.4")
    studies = ledger.recalled_studies.answered(recall, NOON, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(replace(one, study_key=""), {}) for one in studies])
    assert len(ledger.recall_lists.ranks(recall.id, tenant=None)) == 2


def test_a_study_whose_job_is_gone_is_found_by_its_pseudonym(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    job = answered(ledger)
    set_time(ledger, after(5))
    ledger.retention.purge(KeptFor(None, timedelta(seconds=1), None), actor="ris")
    (study,) = ledger.recalled_studies.answered(recall, NOON, EVER, 10)
    assert (study.job_id, study.study_key, study.tenant, study.result) == (job, "st-1.2.3", "", {})
    (item,) = listed(ledger, recall)
    told = ledger.recall_lists.items([item])[item]
    assert (told.study_uid, told.sr_uid, told.documents) == (None, None, ())
    (pending,) = ledger.recalled_studies.to_reread(recall, "app-1", 10)
    assert pending.study is None


@pytest.mark.parametrize("role", ["safety-net", "shadow", "recall"])
def test_what_the_champion_has_read_beside_the_version_is_found(ledger: Ledger, role: str) -> None:
    recall = a_recall(ledger)
    job = answered(ledger)
    (item,) = listed(ledger, recall)
    assert ledger.recalled_studies.reread(recall, "1", 10) == ()
    read_for(ledger, job, role=role)
    (reread,) = ledger.recalled_studies.reread(recall, "1", 10)
    assert (reread.item, reread.champion, reread.outcome) == (item, "1", outcome("1"))
    assert reread.delivered["version"] == "2"
    assert ledger.recalled_studies.reread(recall, "9", 10) == (), "another version is no champion"


def test_a_champion_that_failed_counts_only_if_it_read_for_the_recall(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    job = answered(ledger)
    listed(ledger, recall)
    read_for(ledger, job, None)
    assert ledger.recalled_studies.reread(recall, "1", 10) == ()
    read_for(ledger, job, None, role="recall")
    (reread,) = ledger.recalled_studies.reread(recall, "1", 10)
    assert (reread.outcome, reread.error_code) == (None, "study-not-found")


def test_of_an_outcome_and_a_failure_the_outcome_counts(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    job = answered(ledger)
    listed(ledger, recall)
    read_for(ledger, job, None, role="recall")
    read_for(ledger, job)
    (reread,) = ledger.recalled_studies.reread(recall, "1", 10)
    assert reread.error_code is None


def test_the_study_that_was_answered_last_is_read_first_and_none_twice(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    jobs = [answered(ledger, after(number), f"1.2.{number}") for number in range(3)]
    listed(ledger, recall)
    pending = ledger.recalled_studies.to_reread(recall, "app-1", 2)
    assert [one.reading_id for one in pending] == [jobs[2], jobs[1]]
    study = pending[0].study
    assert study is not None
    assert (study.study_uid, study.series_uids) == ("1.2.2", ("1.2.2.1",))
    decision = ledger.recalled_studies.decision(jobs[2], "2")
    assert decision == replace(by("2"), table="", assigned_at=after(2))
    task = ShadowTask("ich", "1", "app-1", "champion", "recall", study, decision, pending[0].delivered)
    ledger.shadows.enqueue(jobs[2], [task], "st-1.2.2")
    left = ledger.recalled_studies.to_reread(recall, "app-1", 10)
    assert [one.reading_id for one in left] == [jobs[1], jobs[0]]
    assert ledger.recalled_studies.pending_tasks("app-1") == 1
    assert len(ledger.recalled_studies.to_reread(recall, "app-7", 10)) == 3, "another champion has no task"


def test_tasks_of_a_former_champion_are_taken_back_and_no_others(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    job = answered(ledger)
    listed(ledger, recall)
    (pending,) = ledger.recalled_studies.to_reread(recall, "app-1", 10)
    assert pending.study is not None
    for role in ("recall", "shadow"):
        task = ShadowTask("ich", "1", "app-1", "champion", role, pending.study, decided(), {})
        ledger.shadows.enqueue(job, [task])
    assert ledger.recalled_studies.drop_tasks_of_others("ich", "app-1") == 0
    assert ledger.recalled_studies.drop_tasks_of_others("other", "app-7") == 0
    assert ledger.recalled_studies.drop_tasks_of_others("ich", "app-7") == 1
    assert [one.role for one in ledger.shadows.claim("w", 10, 9)] == ["shadow"]
    assert "recall" not in [one.row.role for one in ledger.decisions.of_job(job)]


def test_a_study_that_two_jobs_have_is_read_for_both(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    reading = answered(ledger)
    answered_as(ledger, reading, after(1))
    studies = ledger.recalled_studies.answered_by_it(recall, NOON, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(one, outcome_of(one.result)) for one in studies])
    listed(ledger, recall)
    read_for(ledger, reading, role="recall")
    assert len(ledger.recalled_studies.reread(recall, "1", 10)) == 2


def test_results_of_a_study_are_those_of_the_model(ledger: Ledger) -> None:
    answered(ledger, presence="absent")
    answered(ledger, after(1), presence="present", version="1")
    results = ledger.recalled_studies.results_of("1.2.3", "ich")
    assert [one["model"]["version"] for one in results] == ["1", "2"]
    assert ledger.recalled_studies.results_of("1.2.3", "other") == ()
    assert ledger.recalled_studies.results_of("1.2.4", "ich") == ()


def test_the_version_is_given_studies_again_by_a_later_run(ledger: Ledger) -> None:
    run = move(ledger, begin(ledger), RolloutPhase.FAILED)
    recall = a_recall(ledger, model="chest-ct")
    assert ledger.recalled_studies.again_at(recall) is None
    again = replace(run.status, phase=RolloutPhase.PROGRESSING, run=2, began_at=after(50))
    ledger.rollouts.move(run, again, [Event(run.status, again, NOON, "ris/ada", "once more")])
    assert ledger.recalled_studies.again_at(recall) == after(50)


def test_the_version_is_given_studies_again_as_champion_once_its_run_has_ended(ledger: Ledger) -> None:
    run = move(ledger, begin(ledger), RolloutPhase.ROLLING_BACK)
    recall = a_recall(ledger, model="chest-ct")
    set_time(ledger, after(1))
    ledger.transitions.record(
        "chest-ct", "champion", "1", "2", generation=1, reason="its promotion, noted late"
    )
    assert ledger.recalled_studies.again_at(recall) is None
    set_time(ledger, after(2))
    move(ledger, run, RolloutPhase.FAILED)
    ledger.transitions.record("chest-ct", "champion", "2", "1", generation=2, reason="undone")
    assert ledger.recalled_studies.again_at(recall) is None
    set_time(ledger, after(9))
    ledger.transitions.record("chest-ct", "champion", "1", "2", generation=3, reason="by hand")
    assert ledger.recalled_studies.again_at(recall) == after(9)


def test_a_list_without_a_run_counts_from_when_it_was_asked_for(ledger: Ledger) -> None:
    ledger.transitions.record("ich", "champion", "1", "2", generation=1, reason="before")
    set_time(ledger, after(5))
    recall = a_recall(ledger, run=None)
    assert ledger.recalled_studies.again_at(recall) is None
    set_time(ledger, after(9))
    ledger.transitions.record("ich", "champion", "2", "1", generation=2, reason="away")
    ledger.transitions.record("ich", "champion", "1", "2", generation=3, reason="again")
    assert ledger.recalled_studies.again_at(recall) == after(9)


def test_a_recalls_reading_makes_no_pair(ledger: Ledger) -> None:
    job = answered(ledger)
    read_for(ledger, job, role="recall")
    assert ledger.pairs.collect("ich", 1.0) == 0
    read_for(ledger, job, role="safety-net")
    assert ledger.pairs.collect("ich", 1.0) == 1
