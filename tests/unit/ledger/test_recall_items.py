"""Recalls as people see them: what differs, what is open, who closed it, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.recall import Difference, RecallState
from core.errors import RecallItemClosed, RecallItemNotFound, RecallNotFound
from ledger import Delivery, KeptFor, Ledger, NewRecallItem, OpenRecall
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.recalled import EVER, a_recall, answered, answered_as, compared, listed

DAY = timedelta(days=1)


def test_a_difference_is_kept_and_an_item_without_one_waits_for_nobody(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    answered(ledger, after(1), "1.2.4")
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


def test_an_item_tells_where_the_documents_of_all_jobs_of_its_study_went(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    to_pacs, to_folder = Delivery("stow", "pacs", document="sr"), Delivery("stow", "share", document="sr")
    answered(ledger, deliveries=(to_pacs,), presence="present")
    newest = answered(ledger, after(1), deliveries=(to_folder,))
    answered(ledger, after(2), deliveries=(to_pacs,), tenant="other")
    listed(ledger, recall)
    (item,) = [one.item for one in ledger.recall_lists.ranks(recall.id, tenant="ris")]
    told = ledger.recall_lists.items([item])[item]
    assert told.job_id == newest
    assert [one.destination for one in told.documents] == ["pacs", "share"]


def test_an_item_in_whose_place_came_a_newer_answer_is_closed_by_nobody(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger, presence="present")
    (first,) = listed(ledger, recall)
    answered(ledger, after(1))
    (item,) = listed(ledger, recall)
    with pytest.raises(RecallItemClosed, match="newer"):
        ledger.recalls.close("ich", first, "called the ward", tenant=None, actor="ris")
    assert ledger.recalls.open_lists()[0].open_items == 1
    ledger.recalls.close("ich", item, "called the ward", tenant=None, actor="ris")


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


def test_an_item_that_waits_for_a_person_is_kept_however_old_it_is(ledger: Ledger) -> None:
    recall = a_recall(ledger)
    answered(ledger)
    answered(ledger, after(1), "1.2.4")
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
