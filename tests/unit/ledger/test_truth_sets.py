"""Ground-truth sets in the ledger: written once, run by versions, and judged by what these said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from canary.truth import TruthLabel, TruthSource
from canary.truth_set import SetLine, SetStudy, SetTruth, Told, reading_id, studies_of
from core.errors import InvalidField, TruthSetInUse, TruthSetNotFound
from core.study import StudyRef
from ledger import Ledger, ShadowTask, StoredRun, StoredSet
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import ICH, SHARE, says
from tests.unit.ledger.routed import decided

PRESENT, ABSENT = TruthLabel.PRESENT, TruthLabel.ABSENT


def studies(*labels: TruthLabel) -> tuple[SetStudy, ...]:
    return studies_of(
        [
            SetLine("pacs", f"1.2.840.{n}", ICH, SetTruth(label, TruthSource.PATHOLOGY, "lab"), f"1.2.{n}")
            for n, label in enumerate(labels)
        ]
    )


def registered(ledger: Ledger, *labels: TruthLabel, name: str = "ref", model: str = "ich") -> StoredSet:
    stored, _ = ledger.truth_sets.register(name, model, studies(*(labels or (PRESENT, ABSENT))), actor="ada")
    return stored


def begun(ledger: Ledger, of: StoredSet, version: str = "2") -> StoredRun:
    run, _ = ledger.truth_set_runs.begin(of, version, "d", actor="ada")
    tasks = [(n, f"st-{n}", task(run, n)) for n in range(of.studies)]
    ledger.truth_set_runs.add(run.id, tasks)
    return run


def task(run: StoredRun, number: int) -> ShadowTask:
    return ShadowTask(
        model="ich",
        version=run.version,
        app=f"app-{run.version}",
        variant="challenger",
        role="ground-truth",
        study=StudyRef("pacs", f"1.2.840.{number}"),
        decision=decided(),
        delivered={"version": ""},
        batch=run.id,
    )


def end(ledger: Ledger, *outcomes: dict[str, Any] | str) -> None:
    """End what is due, in the order of the studies' numbers."""
    claimed = sorted(ledger.shadows.claim("w", 10, 99), key=lambda one: one.study.study_uid)
    assert len(claimed) == len(outcomes)
    for one, outcome in zip(claimed, outcomes, strict=True):
        if isinstance(outcome, str):
            ledger.shadows.failed(one.token, outcome, None)
        else:
            ledger.shadows.done(one.token, outcome, 5.0)


def test_a_set_comes_back_as_it_was_registered(ledger: Ledger) -> None:
    stored, is_new = ledger.truth_sets.register("ref", "ich", studies(PRESENT, ABSENT, ABSENT), actor="ada")
    assert is_new
    assert (stored.version, stored.studies, stored.counts) == (1, 3, {ICH: {"present": 1, "absent": 2}})
    assert (stored.actor, stored.at, stored.every_s) == ("ada", NOON, None)
    assert ledger.truth_sets.studies("ref", 1) == studies(PRESENT, ABSENT, ABSENT)
    (row,) = ledger.audit.rows()
    assert (row.action, row.detail["digest"]) == ("truth-set.register", stored.digest)
    assert "1.2.840" not in str(row.detail)


def test_the_same_content_is_the_same_version_and_other_content_the_next(ledger: Ledger) -> None:
    first = registered(ledger, PRESENT)
    again, is_new = ledger.truth_sets.register("ref", "ich", studies(PRESENT), actor="bob")
    assert (again, is_new) == (first, False)
    second = registered(ledger, ABSENT)
    assert (second.version, second.digest != first.digest) == (2, True)
    assert ledger.truth_sets.studies("ref", 1) == studies(PRESENT), "what was registered never changes"
    registered(ledger, name="other")
    assert [(one.name, one.version) for one in ledger.truth_sets.newest()] == [("other", 1), ("ref", 2)]
    assert ledger.truth_sets.get("ref") == second


def test_a_set_stays_its_model_s_and_has_a_study(ledger: Ledger) -> None:
    registered(ledger)
    with pytest.raises(InvalidField, match="is of the model ich"):
        registered(ledger, model="chest")
    with pytest.raises(InvalidField, match="one study"):
        ledger.truth_sets.register("empty", "ich", (), actor="ada")
    for missing in (
        lambda: ledger.truth_sets.get("none"),
        lambda: ledger.truth_sets.schedule("none", 60, actor="ada"),
    ):
        with pytest.raises(TruthSetNotFound):
            missing()


def test_a_schedule_is_the_set_s_whatever_its_version(ledger: Ledger) -> None:
    registered(ledger)
    assert ledger.truth_sets.schedule("ref", 3600, actor="ada").every_s == 3600
    assert registered(ledger, ABSENT).every_s == 3600
    assert ledger.truth_sets.schedule("ref", None, actor="ada").every_s is None


def test_a_deleted_set_names_no_study_any_more_and_what_came_of_its_runs_stays(ledger: Ledger) -> None:
    registered(ledger, PRESENT)
    of = registered(ledger, PRESENT, ABSENT)
    run = begun(ledger, of)
    with pytest.raises(TruthSetInUse):
        ledger.truth_sets.delete("ref", actor="ada")
    end(ledger, says("2", "present"), says("2", "absent"))
    ledger.truth_set_runs.settle(run.id, {"findings": []})
    ledger.truth_sets.schedule("ref", 60, actor="ada")
    assert ledger.truth_sets.delete("ref", actor="ada") == replace(of, every_s=60)
    assert ledger.truth_sets.newest() == ()
    assert [ledger.truth_sets.studies("ref", version) for version in (1, 2)] == [(), ()]
    (kept,) = ledger.truth_set_runs.of_set("ref", 9)
    assert (kept.id, kept.result) == (run.id, {"findings": []})
    row = ledger.audit.rows()[0]
    assert (row.actor, row.action, row.subject) == ("ada", "truth-set.delete", "ref")
    assert row.detail == {"version": 2, "digest": of.digest, "studies": 2}
    for gone in (
        lambda: ledger.truth_sets.delete("ref", actor="ada"),
        lambda: ledger.truth_set_runs.begin(of, "2", "d", actor="ada"),
    ):
        with pytest.raises(TruthSetNotFound):
            gone()


def test_a_set_of_the_same_name_is_another_version_than_any_that_was_read(ledger: Ledger) -> None:
    run = begun(ledger, registered(ledger, PRESENT))
    end(ledger, says("2", "present"))
    ledger.truth_set_runs.settle(run.id, {})
    ledger.truth_sets.delete("ref", actor="ada")
    again = registered(ledger, PRESENT)
    assert (again.version, again.every_s) == (2, None)
    assert ledger.truth_set_runs.last_begun(again) == {}


def test_a_run_under_way_is_not_begun_twice(ledger: Ledger) -> None:
    of = registered(ledger)
    run = begun(ledger, of)
    again, is_new = ledger.truth_set_runs.begin(of, "2", "d", actor="bob")
    assert (again.id, is_new) == (run.id, False)
    begun(ledger, of)  # its tasks are written again by who goes on with it
    assert ledger.shadows.backlog() == {("ich", "2"): 2}
    other, is_new = ledger.truth_set_runs.begin(of, "1", "d", actor="bob")
    assert (other.id != run.id, is_new) == (True, True)
    newer, is_new = ledger.truth_set_runs.begin(registered(ledger, ABSENT), "2", "d", actor="bob")
    assert (newer.id != run.id, is_new) == (True, True)


def test_what_was_said_is_told_by_study_and_a_failure_of_the_version_is_one(ledger: Ledger) -> None:
    of = registered(ledger, PRESENT, PRESENT, ABSENT, ABSENT, ABSENT)
    run = begun(ledger, of)
    end(ledger, says("2", "present"), "model-error", says("2", "absent"), "study-not-found", "discarded")
    told = ledger.truth_set_runs.told(run)
    assert told == {
        0: Told({ICH: "present"}),
        1: Told(failed=True),
        2: Told({ICH: "absent"}),
        3: Told(unread=True),
        4: Told(unread=True),
    }


def test_a_result_is_kept_once_and_a_new_run_may_begin(ledger: Ledger) -> None:
    of = registered(ledger)
    run = begun(ledger, of)
    assert not ledger.truth_set_runs.open_runs("ref")[0].is_read
    end(ledger, says("2", "present"), "model-error")
    (read,) = ledger.truth_set_runs.open_runs("ref")
    assert read.is_read
    ledger.truth_set_runs.settle(run.id, {"findings": []})
    ledger.truth_set_runs.settle(run.id, {"findings": ["other"]})
    assert ledger.truth_set_runs.open_runs("ref") == ()
    set_time(ledger, after(60))
    later = begun(ledger, of)
    runs = ledger.truth_set_runs.of_set("ref", 9)
    assert [(one.id, one.result) for one in runs] == [(later.id, None), (run.id, {"findings": []})]
    assert ledger.truth_set_runs.last_begun(of) == {"2": after(60)}
    assert ledger.truth_set_runs.last_begun(registered(ledger, ABSENT)) == {}


def test_a_reading_of_a_set_is_no_pair_and_no_live_shadow(ledger: Ledger) -> None:
    of = registered(ledger)
    run = begun(ledger, of)
    assert ledger.shadows.oldest_pending() is None
    (first, _) = ledger.shadows.claim("w", 10, 9)
    assert (first.role, first.job_id in {reading_id(run.id, 0), reading_id(run.id, 1)}) == (
        "ground-truth",
        True,
    )
    ledger.shadows.done(first.token, says("2", "present"), 5.0)
    assert ledger.pairs.collect("ich", SHARE) == 0
