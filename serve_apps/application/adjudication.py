"""The adjudication queue for readers: what is to be read again, how much comes, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from canary.adjudication import Workload, workload
from canary.truth import TruthLabel
from core.clock import now
from ledger import AnsweredAdjudication, Ledger, OpenAdjudication
from serve_apps.application.callers import Caller
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.truth import require_read

FORECAST_FROM: Final = timedelta(days=28)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AdjudicationQueue:
    model: str
    items: tuple[OpenAdjudication, ...]
    workload: Workload


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What a reader says of an item; `read_at` is None for now."""

    label: TruthLabel
    reader: str
    read_at: datetime | None = None
    note: str | None = None


class AdjudicationService:
    """Shows the queue of a caller's tenant, and takes its answers.

    `concordant_share` of the patients of whom two versions agree are asked about.
    """

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        executor: Executor,
        concordant_share: float,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._executor = executor
        self._share = concordant_share

    async def queue(self, model: str, limit: int, caller: Caller, tenant: str | None) -> AdjudicationQueue:
        """The oldest items about the versions that have a role now, and the forecast of the work.

        Raises UnknownModel, Forbidden or NotReady.
        """
        whose = caller.tenant_named(tenant)
        table = self._snapshot().table(model)
        readers = [table.champion, *table.answering.values(), *(shadow.variant for shadow in table.shadows)]
        versions = frozenset(variant.version for variant in readers)
        return await run_in(self._executor, self._queue, model, versions, limit, whose)

    async def answer(
        self, item: str, given: GivenAnswer, caller: Caller, *, actor: str
    ) -> AnsweredAdjudication:
        """Keep the answer as a truth, and tell who had said what.

        Raises AdjudicationNotFound, AlreadyAnswered or InvalidField.
        """
        at = now()
        read_at = given.read_at or at
        require_read(read_at, at)
        return await run_in(
            self._executor,
            self._ledger.adjudications.answer,
            item,
            given.label,
            reader=given.reader,
            read_at=read_at,
            note=given.note,
            tenant=caller.confined_to,
            actor=actor,
        )

    def _queue(
        self, model: str, versions: frozenset[str], limit: int, tenant: str | None
    ) -> AdjudicationQueue:
        self._ledger.pairs.collect(model, self._share)
        items = self._ledger.adjudications.open_items(model, versions, limit, tenant=tenant)
        waiting = self._ledger.adjudications.open_number(model, versions, tenant=tenant)
        at = now()
        counts = self._ledger.pairs.counts(model, at - FORECAST_FROM, tenant=tenant)
        seen_for = max(at - (counts.first_at or at), DAY)
        forecast = workload(
            pairs=counts.pairs,
            discordant=counts.discordant,
            days=seen_for / DAY,
            concordant_share=self._share,
            open_items=waiting,
        )
        return AdjudicationQueue(model, items, forecast)
