"""Recalls, one look after the other: which versions were withdrawn, which studies they answered, who reads these.

Level-triggered: a look that was lost, or came twice, is made up for by the next. What was on its way when a version
was withdrawn joins its list when it arrives. Nothing here delivers: the champion reads for the list alone, few
studies at a time, and none while routing is frozen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from canary.explain import DecisionRow
from canary.recall import SEEN_AFTER, belongs_until, compare, is_complete, is_withdrawn
from canary.routing_table import Variant
from ledger import (
    NOT_KEPT,
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
from serve_apps.application.messages import ServedVersion
from serve_apps.application.recalled import outcome_of, reading_in, recall_task, said_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.recalls")
ROLLOUT: Final = "rollout"  # who makes the list of a run
BATCH: Final = 200  # a transaction of many rows would keep callers waiting
MOST_PENDING: Final = 20  # studies that the champion has still to read for recalls


class RecallStore(Protocol):
    """`ledger.recalls`; all raise LedgerUnavailable."""

    def unmade(self) -> Sequence[WithdrawnRun]: ...
    def under_way(self) -> Sequence[Recall]: ...
    def make(self, new: NewRecall, *, actor: str) -> tuple[Recall, bool]: ...
    def add(self, recall: str, items: Sequence[NewRecallItem]) -> int: ...
    def taken(self, recall: str, up_to: datetime, *, is_complete: bool) -> None: ...
    def compared(self, found: Sequence[ComparedItem]) -> None: ...
    def unreadable(self, codes: Mapping[str, str]) -> None: ...


class StudyRows(Protocol):
    """`ledger.recalled_studies`; all raise LedgerUnavailable."""

    def now(self) -> datetime: ...
    def again_at(self, recall: Recall) -> datetime | None: ...
    def answered(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]: ...
    def answered_by_it(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]: ...
    def reread(self, recall: Recall, champion: str, limit: int) -> tuple[Reread, ...]: ...
    def to_reread(self, recall: Recall, app: str, limit: int) -> tuple[ToReread, ...]: ...
    def results_of(self, study_uid: str, model: str) -> tuple[Mapping[str, Any], ...]: ...
    def decision(self, job_id: str, version: str) -> DecisionRow | None: ...
    def pending_tasks(self, app: str) -> int: ...
    def drop_tasks_of_others(self, model: str, app: str) -> int: ...


class TaskRows(Protocol):
    """`ledger.shadows`, as far as tasks are made; raises LedgerUnavailable."""

    def enqueue(self, job_id: str, tasks: Sequence[ShadowTask], study_key: str = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class _Champion:
    """Who answers for the model now."""

    variant: Variant
    served: ServedVersion


class Recalls:
    """Makes the list of each withdrawal, fills it, and has the champion read what it holds. One call at a time."""

    def __init__(self, store: RecallStore, studies: StudyRows, tasks: TaskRows) -> None:
        self._store = store
        self._studies = studies
        self._tasks = tasks

    def look(self, snapshot: RoutingSnapshot) -> None:
        """Look at every withdrawal once. What fails for one holds up no other. Raises LedgerUnavailable.

        Before anything was published there is no champion to read again by, and nothing is done.
        """
        if snapshot.is_empty:
            return
        self._make()
        for recall in self._store.under_way():
            try:
                if not recall.is_complete:
                    self._take(recall)
                self._read_again(recall, snapshot)
            except Exception as error:
                about = {"recall": recall.id, "error": type(error).__name__}
                logger.exception("recalls.look_failed", extra=about)

    def _make(self) -> None:
        """Begin the lists of runs that went back."""
        unmade = self._store.unmade()
        if not unmade:  # a site without rollouts pays for nothing
            return
        now = self._studies.now()
        for run in unmade:
            if is_withdrawn(run.phase, run.ended_at, now):
                new = NewRecall(run.model, run.version, run.began_at, run.reason, run.run)
                recall, is_new = self._store.make(new, actor=ROLLOUT)
                if is_new:
                    logger.info("recalls.made", extra={"recall": recall.id, "run": run.run})

    def _take(self, recall: Recall) -> None:
        """Put onto the list what the version answered, as far as it can be seen now."""
        now = self._studies.now()
        until = belongs_until(recall.made_at, self._studies.again_at(recall))
        since = max(recall.since, recall.taken_up_to - SEEN_AFTER)
        added = sum(
            self._add(recall, partial(find, recall, since, until, BATCH))
            for find in (self._studies.answered, self._studies.answered_by_it)
        )
        is_over = is_complete(until, now)
        if added or is_over or now - recall.taken_up_to > SEEN_AFTER:
            self._store.taken(recall.id, now, is_complete=is_over)
        if added:
            logger.info("recalls.studies", extra={"recall": recall.id, "added": added})

    def _add(self, recall: Recall, find: Callable[[], tuple[RecalledStudy, ...]]) -> int:
        """Add what is found until nothing more is; what is on the list is not found again."""
        added = 0
        while found := find():
            items = [NewRecallItem(study, outcome_of(study.result)) for study in found]
            new = self._store.add(recall.id, items)
            added += new
            if len(found) < BATCH or not new:
                break
        return added

    def _read_again(self, recall: Recall, snapshot: RoutingSnapshot) -> None:
        """Compare what the champion has read, and have it read some of the rest."""
        champion = _champion_of(snapshot, recall.model)
        if champion is None or champion.variant.version == recall.version:
            return  # nobody can say yet what the studies would have got
        self._keep(self._studies.reread(recall, champion.variant.version, BATCH))
        self._studies.drop_tasks_of_others(recall.model, champion.variant.app)
        if snapshot.is_frozen:
            return
        room = MOST_PENDING - self._studies.pending_tasks(champion.variant.app)
        if room > 0:
            pending = self._studies.to_reread(recall, champion.variant.app, room)
            self._keep([one for item in pending if (one := self._begin(recall, item, champion)) is not None])

    def _begin(self, recall: Recall, item: ToReread, champion: _Champion) -> Reread | None:
        """Have the champion read the study; what is known of it already where nothing has to be read."""
        version, known = champion.variant.version, None
        if item.study is not None and item.delivered:
            results = self._studies.results_of(item.study.study_uid, recall.model)
            known = reading_in(results, version, item.series_uid)
        decision = self._studies.decision(item.reading_id, recall.version)
        if known is not None:
            return Reread(item.item, item.delivered, version, known)
        if item.study is None or decision is None or not item.delivered:
            return Reread(item.item, item.delivered, version, None, NOT_KEPT)
        task = recall_task(item, decision, champion.variant, champion.served.spec.input.series)
        self._tasks.enqueue(item.reading_id, [task], item.study_key)
        return None

    def _keep(self, found: Sequence[Reread]) -> None:
        """Note what the champion said, or why it can say nothing."""
        codes = {one.item: code for one in found if (code := _code_of(one)) is not None}
        compared = [
            ComparedItem(one, compare(said_in(one.delivered), said_in(one.outcome or {})))
            for one in found
            if one.item not in codes
        ]
        if compared:
            self._store.compared(compared)
        if codes:
            self._store.unreadable(codes)


def _code_of(one: Reread) -> str | None:
    """Why two readings cannot be compared; None if they can."""
    if one.outcome is None:
        return one.error_code or NOT_KEPT
    return None if one.delivered else NOT_KEPT


def _champion_of(snapshot: RoutingSnapshot, model: str) -> _Champion | None:
    table = snapshot.tables.get(model)
    served = None if table is None else snapshot.endpoints.get(table.champion.app)
    return None if table is None or served is None else _Champion(table.champion, served)
