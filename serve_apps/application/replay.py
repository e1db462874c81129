"""Replays: a version reads in silence what the champion has answered, so that evidence need not wait for new studies.

What is asked for is decided here, from the snapshot and from what the ledger has; the shadow workers read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from canary.disclosure import Role
from canary.replay import last_of_patients
from canary.routing_table import Variant
from core.clock import now
from core.codec import to_plain
from core.errors import InvalidField, ReplayRefused
from ledger import AnsweredReading, Ledger, NewReplay, ReplayState, ShadowTask, StoredReplay
from serve_apps.application.executors import run_in
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import RoutingSnapshot, VariantState
from serve_apps.application.shadow import ShadowOutcome

MOST_STUDIES: Final = 5000
MOST_REPLAYS: Final = 50  # that are told at once
BATCH_SIZE: Final = 100  # a transaction of many rows would keep callers waiting
WILL_NOT_RUN: Final = frozenset({VariantState.REFUSED, VariantState.FAILED, VariantState.STOPPING})


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """The last studies of so many patients that the champion answered since a moment, or ever."""

    model: str
    candidate: str
    last: int
    since: datetime | None = None


class ReplayService:
    """Starts, shows and cancels replays. `concordant_share` is the adjudication queue's."""

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
        self._replays = Replays(ledger, concordant_share)

    async def start(self, order: ReplayOrder, *, actor: str) -> tuple[StoredReplay, bool]:
        """Have the candidate read what it has not read yet; whether the replay is new. The same that is under way is
        given as it stands, and one whose beginning broke off is gone on with.

        Raises ReplayRefused, InvalidField, and as `RoutingSnapshot.table` does.
        """
        if order.since is not None and order.since > now():
            raise InvalidField("nothing was answered in the future", "/since")
        return await run_in(self._executor, self._replays.start, order, self._snapshot(), actor)

    def hindrance(self, replay: StoredReplay) -> str:
        """Why nobody reads what waits, if so: its version may have lost its role meanwhile."""
        about = replay.about
        if not replay.counts.waiting or app_name(about.model, about.candidate) in self._snapshot().endpoints:
            return ""
        return f"version {about.candidate} is not served now: its tasks wait, or are given up by a cancel"

    async def get(self, replay: str) -> StoredReplay:
        """Raises ReplayNotFound."""
        return await run_in(self._executor, self._ledger.replays.get, replay)

    async def newest(self, model: str | None) -> tuple[StoredReplay, ...]:
        """The newest first, of one model or of all."""
        return await run_in(self._executor, self._ledger.replays.newest, MOST_REPLAYS, model)

    async def cancel(self, replay: str, *, actor: str) -> StoredReplay:
        """Give up what is not read yet. Raises ReplayNotFound."""
        return await run_in(self._executor, self._ledger.replays.cancel, replay, actor=actor)


class Replays:
    """Begins replays, in the thread of the caller. `concordant_share` is the adjudication queue's."""

    def __init__(self, ledger: Ledger, concordant_share: float) -> None:
        self._ledger = ledger
        self._share = concordant_share

    def start(self, order: ReplayOrder, snapshot: RoutingSnapshot, actor: str) -> tuple[StoredReplay, bool]:
        """As `ReplayService.start`."""
        reader = reader_of(snapshot, order.model, order.candidate)
        champion = snapshot.champion(order.model)
        self._ledger.pairs.collect(order.model, self._share)  # so that all who were paired are known
        new = NewReplay(
            model=order.model,
            champion=champion.version,
            candidate=order.candidate,
            last=order.last,
            since=order.since,
            run=self._run_of(order, champion.version),
        )
        begun, is_new = self._ledger.replays.begin(new, actor=actor)
        if begun.state is not ReplayState.ASKING:
            return begun, is_new
        return self._ask(begun, reader, champion), is_new

    def _run_of(self, order: ReplayOrder, champion: str) -> int | None:
        """The run whose evidence the pairs will be: the one of these two versions that is under way."""
        statuses = (stored.status for stored in self._ledger.rollouts.of_model(order.model))
        open_ones = (one for one in statuses if not one.has_ended and one.candidate == order.candidate)
        return next((one.run for one in open_ones if one.stable == champion), None)

    def _ask(self, begun: StoredReplay, reader: Variant, champion: ServedVersion) -> StoredReplay:
        """Write the tasks of a window that ends where the replay began, so that it is the same for who goes on."""
        about, past = begun.about, self._ledger.past_readings
        answered = past.answered(about.model, about.champion, about.since, begun.at)
        studies = tuple(last_of_patients(answered, about.last))
        unread = past.unread(studies, about.champion, about.candidate, about.model)
        for start in range(0, len(unread), BATCH_SIZE):
            some = unread[start : start + BATCH_SIZE]
            results = past.results([one.job_id for one in some])
            tasks = [
                (one.job_id, one.study_key, replay_task(one, results[one.job_id], champion, reader, begun.id))
                for one in some
                if one.job_id in results
            ]
            if not self._ledger.replays.add(begun.id, tasks):
                break
        return self._ledger.replays.complete(begun.id, studies=len(studies))


def reader_of(snapshot: RoutingSnapshot, model: str, version: str) -> Variant:
    """The version as it is to be asked. Raises ReplayRefused for one that cannot read, with what would be needed."""
    table = snapshot.table(model)
    if version == table.champion.version:
        raise ReplayRefused(f"version {version} is the champion, which read these studies for their callers")
    named = (*table.answering.values(), *(shadow.variant for shadow in table.shadows))
    served = next((variant for variant in named if variant.version == version), None)
    if served is not None:
        return served
    status = next((row for row in snapshot.variants if (row.model, row.version) == (model, version)), None)
    if status is None:
        raise ReplayRefused(
            f"version {version} has no application here, and is no challenger:"
            " give it the alias challenger, or one that begins with shadow-"
        )
    if status.state in WILL_NOT_RUN:
        raise ReplayRefused(f"version {version} does not run here: {status.reason or status.state.value}")
    return Variant(status.role, version, status.digest or "", app_name(model, version))


def replay_task(
    reading: AnsweredReading, result: Mapping[str, Any], champion: ServedVersion, reader: Variant, batch: str
) -> ShadowTask:
    """The very series that the champion read, by the rule that chose it, and what its caller was told."""
    decision = replace(
        reading.decision, digest=reader.digest, reason=f"replay {batch} asked for it", counts=True
    )
    return ShadowTask(
        model=champion.model,
        version=reader.version,
        app=reader.app,
        variant=reader.name,
        role=Role.REPLAY.value,
        study=replace(reading.study, series_uids=(str(result["series_uid"]),)),
        decision=decision,
        delivered=ShadowOutcome.from_result(result, champion.spec).as_json(),
        rule=to_plain(champion.spec.input.series),
        batch=batch,
    )
