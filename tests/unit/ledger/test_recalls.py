"""Recalls in the ledger: what a version answered, who has read it since, and what people have said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.recall import Difference, RecallState, compare
from canary.rollout.advance import Event
from canary.rollout.status import RolloutPhase
from core.errors import RecallItemClosed, RecallItemNotFound, RecallNotFound
from ledger import (
    ComparedItem,
    Delivery,
    KeptFor,
    Ledger,
    NewRecallItem,
    OpenRecall,
    Recall,
    Reread,
    ShadowTask,
    StoredRollout,
)
from serve_apps.application.recalled import outcome_of, said_in
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.recalled import a_recall, answered, answered_as, by, outcome, read_for, result_of
from tests.unit.ledger.routed import decided

DAY = timedelta(days=1)
EVER = after(7 * 86_400)


def found(ledger: Ledger, recall: Recall, since: Any = NOON, until: Any = EVER) -> list[str]:
    return [one.job_id for one in ledger.recalled_studies.answered(recall, since, until, 10)]


def listed(ledger: Ledger, recall: Recall) -> list[str]:
    """The items, each with what the version answered until then; their ids in the order of the jobs."""
    studies = ledger.recalled_studies.answered(recall, recall.since, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(one, outcome_of(one.result)) for one in studies])
    by_time = sorted(ledger.recall_lists.ranks(recall.id, tenant=None), key=lambda one: one.answered_at)
    return [one.item for one in by_time]


def compared(ledger: Ledger, item: str, champion: str = "present") -> None:
    """The champion's finding, beside a delivered result that says that it is absent."""
    reread = Reread(item, outcome_of(result_of()), "1", outcome("1", champion))
    says = compare(said_in(reread.delivered), said_in(outcome("1", champion)))
    ledger.recalls.compared([ComparedItem(reread, says)])


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


def test_a_difference_is_kept_and_an_item_without_one_waits_for_nobody(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    answered(ledger, after(1))
    first, second = listed(ledger, recall)
    compared(ledger, first, "present")
    compared(ledger, second, "absent")
    ranks = {one.item: one for one in ledger.recall_lists.ranks(recall.id, tenant=None)}
    assert (ranks[first].difference, ranks[first].delivered_missed) == (Difference.CRITICAL, True)
    assert ranks[first].is_open
    assert not ranks[second].is_open
    told = ledger.recall_lists.items([first])[first]
    assert (told.champion, told.reread_at, told.rank) == ("1", after(1), ranks[first])
    assert [change.champion.value for change in told.changes] == ["present"]
    assert ledger.recalls.open_lists() == (OpenRecall("ich", recall.id, "2", 1, 1, 1),)


def test_what_was_compared_is_not_compared_again(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    compared(ledger, item, "present")
    compared(ledger, item, "absent")
    ledger.recalls.unreadable({item: "study-not-found"})
    (rank,) = ledger.recall_lists.ranks(recall.id, tenant=None)
    assert (rank.state, rank.difference) == (RecallState.COMPARED, Difference.CRITICAL)


def test_what_cannot_be_read_waits_for_a_person_with_the_reason(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    ledger.recalls.unreadable({item: "study-not-found"})
    told = ledger.recall_lists.items([item])[item]
    assert (told.rank.state, told.error_code) == (RecallState.UNREADABLE, "study-not-found")
    assert ledger.recalls.open_lists()[0].open_items == 1
    assert ledger.recalled_studies.to_reread(recall, "app-1", 10) == ()


def test_a_list_is_under_way_until_it_is_complete_and_all_is_read(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    ledger.recalls.taken(recall.id, after(60), is_complete=True)
    (kept,) = ledger.recalls.under_way()
    assert (kept.taken_up_to, kept.is_complete) == (after(60), True)
    compared(ledger, item)
    assert ledger.recalls.under_way() == ()


def test_an_item_that_a_person_closed_is_not_read_any_more(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    ledger.recalls.taken(recall.id, after(60), is_complete=True)
    ledger.recalls.close("ich", item, "called the ward", tenant=None, actor="ris/ada")
    assert ledger.recalled_studies.to_reread(recall, "app-1", 10) == ()
    assert ledger.recalls.under_way() == ()


def test_a_person_closes_an_item_once_and_the_audit_names_no_study_and_no_note(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    compared(ledger, item)
    for _ in range(2):
        assert ledger.recalls.close("ich", item, "called the ward", tenant=None, actor="ris/ada") == recall.id
    told = ledger.recall_lists.items([item])[item]
    assert (told.closed_by, told.closed_at, told.note) == ("ris/ada", NOON, "called the ward")
    assert ledger.recalls.open_lists() == ()
    row, *older = ledger.audit.rows()
    assert (row.actor, row.action, row.subject) == ("ris/ada", "recall-close", "ich")
    assert row.detail == {"recall": recall.id, "item": item, "difference": "critical"}
    assert "recall-close" not in [one.action for one in older]
    for note, actor in (("called the ward", "ris/bob"), ("another", "ris/ada")):
        with pytest.raises(RecallItemClosed):
            ledger.recalls.close("ich", item, note, tenant=None, actor=actor)


def test_an_item_of_another_model_or_tenant_is_not_found(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    for model, tenant, id in (("other", None, item), ("ich", "other", item), ("ich", None, "0" * 32)):
        with pytest.raises(RecallItemNotFound):
            ledger.recalls.close(model, id, "", tenant=tenant, actor="ris")
    assert ledger.recalls.open_lists()[0].open_items == 1
    ledger.recalls.close("ich", item, "", tenant="ris", actor="ris")


def test_a_tenant_sees_the_items_of_its_own_jobs(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    reading = answered(ledger)
    answered_as(ledger, reading, after(1), tenant="other")
    studies = ledger.recalled_studies.answered_by_it(recall, NOON, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(one, {}) for one in studies])
    listed(ledger, recall)
    counts = [
        len(ledger.recall_lists.ranks(recall.id, tenant=whose)) for whose in (None, "ris", "other", "x")
    ]
    assert counts == [2, 1, 1, 0]


def test_an_item_tells_where_its_documents_went(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    to_pacs = Delivery("stow", "pacs", document="sr")
    back = Delivery("callback", "https://ris.example/jobs/7?token=secret", payload={})
    reading = answered(ledger, deliveries=(to_pacs, back))
    got = answered_as(ledger, reading, after(1))
    studies = ledger.recalled_studies.answered_by_it(recall, NOON, EVER, 10)
    ledger.recalls.add(recall.id, [NewRecallItem(one, {}) for one in studies])
    items = ledger.recall_lists.items(listed(ledger, recall))
    by_job = {one.job_id: one for one in items.values()}
    own = [(one.kind, one.destination, one.state) for one in by_job[reading].documents]
    assert sorted(own) == [("callback", "https://ris.example", "due"), ("sr", "pacs", "due")]
    foreign = [(one.kind, one.destination) for one in by_job[got].documents]
    assert foreign == [("sr", "pacs")], "another tenant's callback is his own"
    assert by_job[got].sr_uid == by_job[reading].sr_uid == "1.2.3.9"


def test_a_list_is_asked_for_by_run_by_id_or_as_the_newest(ledger: Ledger) -> None:
    first = a_recall(ledger)
    set_time(ledger, after(5))
    asked = a_recall(ledger, run=None)
    lists = ledger.recall_lists
    assert lists.of_model("ich") == (asked, first)
    assert (lists.get("ich"), lists.get("ich", run=1)) == (asked, first)
    assert lists.get("ich", recall=first.id) == first
    for model, run, id in (("ich", 2, None), ("other", None, None), ("ich", 1, asked.id)):
        with pytest.raises(RecallNotFound):
            lists.get(model, run=run, recall=id)


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


def test_an_item_that_waits_for_a_person_is_kept_however_old_it_is(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    answered(ledger, after(1))
    first, _ = listed(ledger, recall)
    ledger.recalls.taken(recall.id, after(60), is_complete=True)
    ledger.recalls.close("ich", first, "called the ward", tenant=None, actor="ris")
    set_time(ledger, NOON + 10 * DAY)
    ledger.retention.purge(KeptFor(None, DAY, DAY), actor="retention")
    (left,) = ledger.recall_lists.ranks(recall.id, tenant=None)
    assert left.item != first
    assert ledger.recall_lists.get("ich") == replace(recall, taken_up_to=after(60), is_complete=True)
    ledger.recalls.close("ich", left.item, "", tenant=None, actor="ris")
    ledger.retention.purge(KeptFor(None, None, DAY), actor="retention")
    assert ledger.recall_lists.of_model("ich") == ()


def test_a_note_goes_with_what_names_a_study(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    (item,) = listed(ledger, recall)
    ledger.recalls.close("ich", item, "called the ward", tenant=None, actor="ris")
    set_time(ledger, NOON + 2 * DAY)
    ledger.retention.purge(KeptFor(None, DAY, None), actor="retention")
    told = ledger.recall_lists.items([item])[item]
    assert (told.note, told.study_uid, told.closed_by) == (None, None, "ris")


def test_a_recalls_reading_makes_no_pair(ledger: Ledger) -> None:
    job = answered(ledger)
    read_for(ledger, job, role="recall")
    assert ledger.pairs.collect("ich", 1.0) == 0
    read_for(ledger, job, role="safety-net")
    assert ledger.pairs.collect("ich", 1.0) == 1
