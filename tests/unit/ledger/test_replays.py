"""Replays in the ledger: which studies they are of, their tasks behind all others, their pairs, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from canary.assignment import StudyFacts
from canary.decision_inputs import facts_text
from canary.replay import last_of_patients
from core.errors import ReplayNotFound
from core.study import StudyRef
from ledger import (
    AnsweredReading,
    ClaimedShadow,
    JobRequest,
    KeptFor,
    Ledger,
    NewReplay,
    ReplayState,
    ShadowTask,
    StoredReplay,
)
from ledger.paired_feed import Span, Versions
from ledger.tables import paired_readings
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import ICH, SHARE, read_twice, says, told
from tests.unit.ledger.routed import decided, pending, read_study, table

ASKED = NewReplay(model="ich", champion="1", candidate="2", last=500)
LATER = after(3600)


def answered(
    ledger: Ledger, patient: str, at: datetime = NOON, version: str = "1", study: str = "", same: str = ""
) -> str:
    """A study that a version answered, and that nobody read as a shadow; returns the job's id."""
    set_time(ledger, at)
    name = study or patient
    uid = f"1.2.840.{sum(map(ord, name))}"
    job = ledger.jobs.submit(JobRequest(StudyRef("pacs", uid)), idempotency_key=None, tenant="ris").job
    claimed = ledger.leases.claim(job.id, "w", 10)
    assert claimed is not None
    ending: dict[str, Any] = {"result": {"series_uid": f"{uid}.1"}, "deliveries_to_make": (), "stages_s": {}}
    if same:
        ledger.leases.complete_as(claimed.token, same, model="ich", **ending)
        return job.id
    facts = StudyFacts(f"st-{name}", patient, site="north", modality="CT")
    row = replace(decided(patient, table(0), study=f"st-{name}"), facts=facts_text(facts), version=version)
    more = {"documents_by_kind": {}, "decisions": [row], "study_key": f"st-{name}"}
    ledger.leases.complete(claimed.token, model="ich", **ending, **more)
    return job.id


def window(ledger: Ledger, last: int = 500, since: datetime | None = None) -> list[AnsweredReading]:
    """The readings that a replay is about, as its use case finds them."""
    found = ledger.past_readings.answered("ich", "1", since, LATER)
    return list(last_of_patients(found, last))


def unread(ledger: Ledger) -> list[str]:
    return [one.patient for one in ledger.past_readings.unread(window(ledger), "1", "2", "ich")]


def task_of(reading: AnsweredReading, batch: str) -> ShadowTask:
    return ShadowTask(
        model="ich",
        version="2",
        app="app-2",
        variant="challenger",
        role="replay",
        study=replace(reading.study, series_uids=("1.2.840.1",)),
        decision=reading.decision,
        delivered=says("1", "present"),
        batch=batch,
    )


def asked_for(ledger: Ledger, readings: Sequence[AnsweredReading], new: NewReplay = ASKED) -> StoredReplay:
    begun, _ = ledger.replays.begin(new, actor="ada")
    tasks = [(one.job_id, one.study_key, task_of(one, begun.id)) for one in readings]
    ledger.replays.add(begun.id, tasks)
    return ledger.replays.complete(begun.id, studies=len(readings))


def claim(ledger: Ledger, at: datetime = LATER, limit: int = 9, **only: Any) -> tuple[ClaimedShadow, ...]:
    set_time(ledger, at)
    return ledger.shadows.claim("w", 10, limit, **only)


# --- which studies


def test_the_window_is_the_last_study_of_each_patient_that_the_version_answered(ledger: Ledger) -> None:
    answered(ledger, "pt-1", after(0), study="early")
    answered(ledger, "pt-2", after(1))
    answered(ledger, "pt-3", after(2), version="9")  # by another version
    job = answered(ledger, "pt-1", after(3), study="late")
    answered(ledger, "pt-4", after(4), same=job)  # read by the job before
    assert [(one.patient, one.study_key) for one in window(ledger)] == [
        ("pt-1", "st-late"),
        ("pt-2", "st-pt-2"),
    ]
    assert [one.patient for one in window(ledger, last=1)] == ["pt-1"]
    assert [one.patient for one in window(ledger, since=after(2))] == ["pt-1"]
    assert window(ledger)[0].study == StudyRef("pacs", f"1.2.840.{sum(map(ord, 'late'))}")
    assert ledger.past_readings.results([job]) == {job: {"series_uid": f"1.2.840.{sum(map(ord, 'late'))}.1"}}


def test_a_window_of_several_batches_leaves_nobody_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):  # two of one moment, so that a batch ends between them
        answered(ledger, f"pt-{number}", after(number // 2))
    whole = [one.job_id for one in window(ledger)]
    monkeypatch.setattr("ledger.past_readings.BATCH_SIZE", 2)
    monkeypatch.setattr("ledger.past_readings._ANSWERED", _batches_of(2))
    assert [one.job_id for one in window(ledger)] == whole
    assert len(set(whole)) == 7


def _batches_of(size: int) -> Any:
    from ledger import past_readings

    return past_readings._ANSWERED.limit(size)


def test_who_was_read_before_is_left_out(ledger: Ledger) -> None:
    read_twice(ledger, "pt-1")  # a shadow has read it, and the pair is there
    ledger.pairs.collect("ich", SHARE)
    answered(ledger, "pt-1", after(5), study="later")
    answered(ledger, "pt-2", after(6))
    assert unread(ledger) == ["pt-2"]


def test_a_study_that_the_version_failed_is_not_asked_for_again(ledger: Ledger) -> None:
    """Nor is one of which it says nothing for a reason of others: it was given to it."""
    read_twice(ledger, "pt-1", shadow="source-timeout")
    ledger.pairs.collect("ich", SHARE)
    assert window(ledger) == []  # `read_twice` keeps no result of the first
    job = answered(ledger, "pt-1", after(5))
    assert unread(ledger) == ["pt-1"]
    ledger.shadows.enqueue(job, [replace(task_of(window(ledger)[0], "b"), role="shadow")], "st-pt-1")
    (task,) = claim(ledger)
    ledger.shadows.failed(task.token, "source-timeout", None)
    assert unread(ledger) == []


def test_a_patient_with_another_study_still_to_be_read_is_left_out(ledger: Ledger) -> None:
    answered(ledger, "pt-1", after(0), study="early")
    (early,) = window(ledger)
    asked_for(ledger, [early])
    answered(ledger, "pt-1", after(9), study="late")
    assert [one.study_key for one in window(ledger)] == ["st-late"]
    assert unread(ledger) == []


# --- its tasks


def test_the_same_request_again_is_the_replay_under_way_and_makes_no_second_task(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    first = asked_for(ledger, window(ledger))
    again, is_new = ledger.replays.begin(ASKED, actor="bob")
    assert (again.id, again.actor, is_new) == (first.id, "ada", False)
    other, is_new = ledger.replays.begin(replace(ASKED, last=7), actor="bob")
    assert is_new
    ledger.replays.add(
        other.id, [(one.job_id, one.study_key, task_of(one, other.id)) for one in window(ledger)]
    )
    assert ledger.replays.complete(other.id, studies=1).asked == 0
    assert len(claim(ledger)) == 1


def test_a_replay_whose_beginning_broke_off_is_gone_on_with(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    begun, _ = ledger.replays.begin(ASKED, actor="ada")
    assert (begun.state, begun.asked) == (ReplayState.ASKING, None)
    again = asked_for(ledger, window(ledger))
    assert (again.id, again.state, again.asked) == (begun.id, ReplayState.READING, 1)


def test_a_replay_comes_after_every_shadow_and_raises_no_alarm_of_its_age(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    asked_for(ledger, window(ledger))
    read_study(ledger, shadows=[pending(), pending("safety-net", "app-1", "1")], at=after(5))
    set_time(ledger, after(6))
    assert ledger.shadows.oldest_pending() == timedelta(seconds=1)
    assert ledger.shadows.oldest_pending("replay") == timedelta(seconds=6)
    assert [task.role for task in claim(ledger)] == ["safety-net", "shadow", "replay"]


def test_a_task_tells_when_it_was_tried_first(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    asked_for(ledger, window(ledger))
    (first,) = claim(ledger, after(100))
    assert first.first_tried_at == after(100)
    ledger.shadows.failed(first.token, "source-timeout", after(200))
    (again,) = claim(ledger, after(200))
    assert again.first_tried_at == after(100)


def test_it_is_told_how_many_were_read_failed_and_wait(ledger: Ledger) -> None:
    for number in range(4):
        answered(ledger, f"pt-{number}", after(number))
    replay = asked_for(ledger, window(ledger))
    read, failed, retried, _ = claim(ledger)
    ledger.shadows.done(read.token, says("2", "absent"), 5.0)
    ledger.shadows.failed(failed.token, "model-error", None)
    ledger.shadows.failed(retried.token, "source-timeout", LATER)
    stands = ledger.replays.get(replay.id)
    assert (stands.asked, stands.counts.waiting, stands.counts.done) == (4, 2, 1)
    assert stands.counts.failed == {"model-error": 1}
    assert stands.state is ReplayState.READING
    for task in claim(ledger, after(7200)):
        ledger.shadows.done(task.token, says("2", "absent"), 5.0)
    assert ledger.replays.get(replay.id).state is ReplayState.DONE


def test_what_it_has_done_is_known_for_as_long_as_evidence_is_kept(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    replay = asked_for(ledger, window(ledger))
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, says("2", "absent"), 5.0)
    set_time(ledger, after(9000))
    ledger.retention.purge(KeptFor(None, timedelta(), None), actor="retention")
    kept = ledger.replays.get(replay.id)
    assert (kept.asked, kept.counts.done) == (1, 1)
    ledger.retention.purge(KeptFor(None, None, timedelta()), actor="retention")
    with pytest.raises(ReplayNotFound):
        ledger.replays.get(replay.id)


# --- its pairs


def test_a_pair_of_a_replay_is_told_apart_and_counts_from_when_it_was_written(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    ledger.truths.add(told(study="pt-1"), actor="ris")  # long known
    asked_for(ledger, window(ledger))
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, says("2", "absent"), 5.0)
    ledger.pairs.collect("ich", SHARE)
    with ledger.database.read() as connection:
        row = connection.execute(sa.select(paired_readings)).mappings().one()
    assert (row["role"], row["patient"], row["is_discordant"]) == ("replay", "pt-1", True)
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert (outcome.champion_correct, outcome.candidate_correct) == (True, False)
    assert outcome.arrived_at == LATER, "not when the truth came"
    assert ledger.paired_feed.studies(Versions("ich", "1", "2"), Span(None, LATER)) != ()
    assert ledger.paired_feed.studies(Versions("ich", "1", "2"), Span(LATER, after(3601))) == ()


def test_a_patient_who_was_read_live_first_counts_by_that_study(ledger: Ledger) -> None:
    answered(ledger, "pt-1", study="old")
    (reading,) = window(ledger)
    asked_for(ledger, [reading])
    (replayed,) = claim(ledger, roles=("replay",))
    read_twice(ledger, "pt-1", at=LATER)
    set_time(ledger, after(3700))
    ledger.shadows.done(replayed.token, says("2", "absent"), 5.0)
    ledger.pairs.collect("ich", SHARE)
    with ledger.database.read() as connection:
        rows = connection.execute(sa.select(paired_readings.c.role, paired_readings.c.study_key)).all()
    assert [tuple(row) for row in rows] == [("shadow", "st-pt-1")]


def test_replays_are_no_forecast_of_the_work_to_come(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    asked_for(ledger, window(ledger))
    (task,) = claim(ledger)
    ledger.shadows.done(task.token, says("2", "absent"), 5.0)
    read_twice(ledger, "pt-2")
    ledger.pairs.collect("ich", SHARE)
    assert ledger.pairs.counts("ich", NOON, tenant=None).pairs == 1


# --- its end


def test_a_cancel_takes_back_what_is_untouched_and_another_replay_may_ask_for_it(ledger: Ledger) -> None:
    for number in range(5):
        answered(ledger, f"pt-{number}", after(number))
    replay = asked_for(ledger, window(ledger))
    read, in_hand = claim(ledger, limit=2)
    ledger.shadows.done(read.token, says("2", "absent"), 5.0)
    canceled = ledger.replays.cancel(replay.id, actor="ada")
    assert (canceled.state, canceled.taken_back, canceled.counts.waiting) == (ReplayState.CANCELED, 3, 0)
    assert canceled.counts.failed == {"discarded": 1}, "the one in hand"
    assert in_hand.job_id not in [one.job_id for one in window(ledger) if one.patient in unread(ledger)]
    assert ledger.shadows.backlog() == {}
    ledger.pairs.collect("ich", SHARE)
    assert len(unread(ledger)) == 3
    again = asked_for(ledger, ledger.past_readings.unread(window(ledger), "1", "2", "ich"))
    assert (again.id != replay.id, again.asked) == (True, 3)


def test_a_cancel_ends_the_writing_of_tasks_and_says_who_it_was(ledger: Ledger) -> None:
    answered(ledger, "pt-1")
    begun, _ = ledger.replays.begin(ASKED, actor="ada")
    ledger.replays.cancel(begun.id, actor="bob")
    assert not ledger.replays.add(begun.id, [])
    (one,) = window(ledger)
    assert not ledger.replays.add(begun.id, [(one.job_id, one.study_key, task_of(one, begun.id))])
    assert ledger.shadows.backlog() == {}
    said = [(row.actor, row.action) for row in ledger.audit.rows()]
    assert said == [("bob", "replay.cancel"), ("ada", "replay.begin")]


def test_a_cancel_of_what_is_over_or_was_cancelled_changes_nothing(ledger: Ledger) -> None:
    done = asked_for(ledger, [])
    assert done.state is ReplayState.DONE
    assert ledger.replays.cancel(done.id, actor="ada").state is ReplayState.DONE
    answered(ledger, "pt-1")
    replay = asked_for(ledger, window(ledger))
    assert ledger.replays.cancel(replay.id, actor="ada") == ledger.replays.cancel(replay.id, actor="ada")
    with pytest.raises(ReplayNotFound):
        ledger.replays.cancel("0" * 32, actor="ada")


def test_the_newest_come_first_of_one_model_or_of_all(ledger: Ledger) -> None:
    for number, model in enumerate(("ich", "chest", "ich")):
        set_time(ledger, after(number))
        ledger.replays.begin(replace(ASKED, model=model, last=number + 1), actor="ada")
    assert [one.about.last for one in ledger.replays.newest(9)] == [3, 2, 1]
    assert [one.about.last for one in ledger.replays.newest(9, "ich")] == [3, 1]
    assert len(ledger.replays.newest(1)) == 1
