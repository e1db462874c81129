"""What the controller's look at recalls works with, made by hand: the lists, the studies, the champion's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from canary.explain import DecisionRow
from canary.recall import Difference
from canary.rollout.status import RolloutPhase
from core.study import StudyRef
from ledger import (
    ComparedItem,
    NewRecall,
    NewRecallItem,
    Recall,
    RecalledStudy,
    Reread,
    ShadowTask,
    ToReread,
    WithdrawnRun,
)
from serve_apps.application.recalled import outcome_of
from serve_apps.control.recalls import Recalls
from tests.unit.ledger.conftest import NOON
from tests.unit.ledger.recalled import by, result_of
from tests.unit.shell.builders import a_snapshot, a_version

MODEL = "ich-triage"
CHAMPION = a_version("1")


def withdrawn(run: int = 1, **changes: Any) -> WithdrawnRun:
    made = WithdrawnRun(MODEL, "2", run, NOON - timedelta(days=1), RolloutPhase.FAILED, "it is worse", NOON)
    return replace(made, **changes)


def a_list(id: str = "r1", **changes: Any) -> Recall:
    since = NOON - timedelta(days=1)
    made = Recall(id, MODEL, "2", 1, since, NOON, "rollout", "it is worse", since, False)
    return replace(made, **changes)


def a_study(number: int, at: datetime = NOON, **changes: Any) -> RecalledStudy:
    job = f"job-{number}"
    made = RecalledStudy(job, job, "ris", f"st-{number}", at, "canary", result_of(study=f"1.2.{number}"))
    return replace(made, **changes)


def pending(number: int, **changes: Any) -> ToReread:
    """An item whose study can be read; its delivered result says that nothing is there."""
    uid = f"1.2.{number}"
    made = ToReread(
        f"item-{number}",
        f"job-{number}",
        f"st-{number}",
        outcome_of(result_of(study=uid)),
        StudyRef("pacs", uid, (f"{uid}.1",)),
        f"{uid}.1",
    )
    return replace(made, **changes)


@dataclass
class FakeStore:
    """Lists as a test makes them, and all that was said of them; `error` is raised for the list of that id."""

    unmade_runs: list[WithdrawnRun] = field(default_factory=list)
    lists: list[Recall] = field(default_factory=list)
    made: list[NewRecall] = field(default_factory=list)
    added: dict[str, list[NewRecallItem]] = field(default_factory=dict)
    taken_up_to: list[tuple[str, datetime, bool]] = field(default_factory=list)
    differences: dict[str, Difference] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    def unmade(self) -> Sequence[WithdrawnRun]:
        return self.unmade_runs

    def under_way(self) -> Sequence[Recall]:
        return self.lists

    def make(self, new: NewRecall, *, actor: str) -> tuple[Recall, bool]:
        self.made.append(new)
        self.lists.append(a_list(run=new.run, since=new.since, version=new.version))
        return self.lists[-1], True

    def add(self, recall: str, items: Sequence[NewRecallItem]) -> int:
        self.added.setdefault(recall, []).extend(items)
        return len(items)

    def taken(self, recall: str, up_to: datetime, *, is_complete: bool) -> None:
        self.taken_up_to.append((recall, up_to, is_complete))

    def compared(self, found: Sequence[ComparedItem]) -> None:
        self.differences |= {one.reread.item: one.comparison.difference for one in found}

    def unreadable(self, codes: Mapping[str, str]) -> None:
        self.codes |= codes


@dataclass
class FakeStudies:
    """Studies by what a test says of them; what is on the store's list is not found again."""

    store: FakeStore
    at: datetime = NOON
    again: datetime | None = None
    by_version: list[RecalledStudy] = field(default_factory=list)
    by_its_reading: list[RecalledStudy] = field(default_factory=list)
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)
    read: list[Reread] = field(default_factory=list)
    to_read: list[ToReread] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)
    tasks: int = 0
    dropped: list[tuple[str, str]] = field(default_factory=list)
    decided: DecisionRow | None = field(default_factory=by)
    error: Exception | None = None

    def now(self) -> datetime:
        return self.at

    def again_at(self, recall: Recall) -> datetime | None:
        if self.error is not None and recall.id == "broken":
            raise self.error
        return self.again

    def answered(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]:
        self.asked.append((since, until))
        return self._new(recall, self.by_version)[:limit]

    def answered_by_it(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]:
        return self._new(recall, self.by_its_reading)[:limit]

    def reread(self, recall: Recall, champion: str, limit: int) -> tuple[Reread, ...]:
        return tuple(one for one in self.read if one.champion == champion)[:limit]

    def to_reread(self, recall: Recall, app: str, limit: int) -> tuple[ToReread, ...]:
        return tuple(self.to_read[:limit])

    def results_of(self, study_uid: str, model: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(one for one in self.results if one["series_uid"].startswith(study_uid))

    def decision(self, job_id: str, version: str) -> DecisionRow | None:
        return self.decided

    def pending_tasks(self, app: str) -> int:
        return self.tasks

    def drop_tasks_of_others(self, model: str, app: str) -> int:
        self.dropped.append((model, app))
        return 0

    def _new(self, recall: Recall, studies: Sequence[RecalledStudy]) -> tuple[RecalledStudy, ...]:
        listed = {item.study.job_id for item in self.store.added.get(recall.id, ())}
        return tuple(study for study in studies if study.job_id not in listed)


@dataclass
class FakeTasks:
    enqueued: list[tuple[str, ShadowTask, str]] = field(default_factory=list)

    def enqueue(self, job_id: str, tasks: Sequence[ShadowTask], study_key: str = "") -> None:
        self.enqueued.extend((job_id, task, study_key) for task in tasks)


class RecalledSite:
    """Version 1 is champion, and 2 was withdrawn."""

    def __init__(self, *lists: Recall) -> None:
        self.store = FakeStore(lists=list(lists))
        self.studies, self.tasks = FakeStudies(self.store), FakeTasks()
        self.snapshot = a_snapshot(CHAMPION)
        self.recalls = Recalls(self.store, self.studies, self.tasks)

    def look(self) -> None:
        self.recalls.look(self.snapshot)
