"""Recalls for people: which studies a withdrawn version answered, which to look at first, and what came of that.

The controller fills the lists; a list that a person asks for is begun here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from canary.recall import RecallSummary, in_order, summary
from core.clock import now
from core.errors import InvalidField, RolloutRefused, UnknownModel
from ledger import Ledger, NewRecall, Recall, RecallItem
from serve_apps.application.callers import Caller
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot

ASKED: Final = "a person asked for it"
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecallView:
    """A list as a caller sees it: the numbers of all items of his, and some of them in order."""

    recall: Recall
    summary: RecallSummary
    items: tuple[RecallItem, ...] = ()


@dataclass(frozen=True, slots=True)
class RecallQuery:
    """Which list: of a run, or of that id, else the newest; `tenant` is whose items, None for the caller's own."""

    model: str
    run: int | None = None
    recall: str | None = None
    tenant: str | None = None
    limit: int = 200
    offset: int = 0


@dataclass(frozen=True, slots=True)
class AskedRecall:
    """What a person asks for: the studies of a run, or those that a version answered since then."""

    run: int | None = None
    version: str | None = None
    since: datetime | None = None
    note: str = ""


class RecallService:
    """Shows the items of a caller's tenant, begins lists that people ask for, and takes what they say of items."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        executor: Executor,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._executor = executor
        self._clock = clock

    async def all(self, model: str, caller: Caller) -> tuple[RecallView, ...]:
        """The lists of a model without their items, the newest first."""
        return await run_in(self._executor, self._all, model, caller.confined_to)

    async def of(self, query: RecallQuery, caller: Caller) -> RecallView:
        """A list, what a person looks at first at its head.

        Raises RecallNotFound, and Forbidden for another tenant's items.
        """
        tenant = caller.tenant_named(query.tenant)
        return await run_in(self._executor, self._of, query, tenant)

    async def ask(self, model: str, asked: AskedRecall, *, actor: str) -> tuple[RecallView, bool]:
        """Begin a list; whether it is new. The same again finds the first.

        Raises InvalidField, UnknownModel, RolloutNotFound, and RolloutRefused for the champion in force.
        """
        return await run_in(self._executor, self._ask, model, asked, actor)

    async def close(self, model: str, item: str, note: str, caller: Caller, *, actor: str) -> RecallItem:
        """A person has looked at the study. Raises RecallItemNotFound, RecallItemClosed."""
        return await run_in(self._executor, self._close, model, item, note, caller.confined_to, actor)

    def _all(self, model: str, tenant: str | None) -> tuple[RecallView, ...]:
        lists = self._ledger.recall_lists
        return tuple(
            RecallView(recall, summary(lists.ranks(recall.id, tenant=tenant)))
            for recall in lists.of_model(model)
        )

    def _of(self, query: RecallQuery, tenant: str | None) -> RecallView:
        lists = self._ledger.recall_lists
        recall = lists.get(query.model, run=query.run, recall=query.recall)
        ranks = in_order(lists.ranks(recall.id, tenant=tenant))
        shown = [one.item for one in ranks[query.offset : query.offset + query.limit]]
        details = lists.items(shown)
        items = tuple(details[item] for item in shown if item in details)
        return RecallView(recall, summary(ranks), items)

    def _ask(self, model: str, asked: AskedRecall, actor: str) -> tuple[RecallView, bool]:
        new = self._new_of(model, asked)
        table = self._snapshot().tables.get(model)
        if table is not None and table.champion.version == new.version:
            raise RolloutRefused(f"version {new.version} is the champion: put it back first")
        recall, is_new = self._ledger.recalls.make(new, actor=actor)
        return RecallView(recall, summary(self._ledger.recall_lists.ranks(recall.id, tenant=None))), is_new

    def _new_of(self, model: str, asked: AskedRecall) -> NewRecall:
        reason = asked.note.strip() or ASKED
        if asked.run is not None and (asked.version, asked.since) == (None, None):
            run = self._ledger.rollouts.get(model, asked.run).status
            return NewRecall(model, run.candidate, run.began_at, reason, run.run)
        if asked.run is not None or asked.version is None or asked.since is None:
            raise InvalidField("name a run, or a version and since when")
        if asked.since > self._clock():
            raise InvalidField("no study was answered after now", "/since")
        snapshot = self._snapshot()
        if model not in snapshot.expected | snapshot.tables.keys():
            raise UnknownModel("no model of that name has a champion in the registry")
        return NewRecall(model, asked.version, max(asked.since, EARLIEST), reason)

    def _close(self, model: str, item: str, note: str, tenant: str | None, actor: str) -> RecallItem:
        self._ledger.recalls.close(model, item, note, tenant=tenant, actor=actor)
        return self._ledger.recall_lists.items([item])[item]
