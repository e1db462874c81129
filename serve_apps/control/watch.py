"""Checks every other second whether the routers do what the tables say and the champions work; else raises an alarm.

The evidence is the decision ledger, which every router writes with a study's result. An alarm keeps its words while
its cause lasts, so that it does not give the snapshot a new number at each look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from canary.data_plane import PlaneVerdict, Served, intent_of, verify_data_plane
from canary.routing_table import RoutingTable
from canary.sample_ratio import RatioVerdict, SampleRatio, judge_ratio, observe_draws
from canary.verdict import Verdict
from core.clock import now
from serve_apps.control.snapshot import Refusal

logger = logging.getLogger("serinus.alarms")
CHECK_INTERVAL_S = 2.0
STAMP_WINDOW = timedelta(minutes=10)
OVERLAP = timedelta(minutes=1)  # what was written late must not be passed by
IN_FORCE_GRACE = timedelta(
    seconds=5
)  # a replica that a push did not reach reads the ledger several times a second
LEAST_FAILURES = 3
FAILURE_SHARE = 0.2  # an alarm ends at half of it, so that it does not come and go
CHAMPION_FAILS = "the champion fails: of the studies of the last ten minutes, a fifth or more"
AUDIT_LOOK = timedelta(minutes=1)
DAY = timedelta(days=1)
LONG_LOG_BYTES = 256 << 20
LOG_GROWS = "the ledger's write-ahead log is long: a process reads from it without end"
SHADOWS_WAIT = "shadows wait for longer than this site allows"
REFUSED_ACTION = "version-refused"
ALARM_ACTION = "data-plane-alarm"


class Group(Protocol):
    """Studies that one table gave to one arm and version: what `ledger.decisions.assigned_since` returns."""

    @property
    def epoch(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def arm(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def last_assigned_at(self) -> datetime: ...
    @property
    def readings(self) -> int: ...


class FirstDraw(Protocol):
    """An identity's first draw: what `ledger.decisions.exposures` returns."""

    @property
    def identity(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def draw(self) -> tuple[str, Mapping[str, int]]: ...


class Decisions(Protocol):
    """`ledger.decisions`, as far as alarms need it."""

    def assigned_since(self, model: str, since: datetime) -> Sequence[Group]: ...
    def champion_failures(self, model: str, since: datetime) -> tuple[int, int]: ...
    def exposures(
        self, model: str, since: datetime = ..., *, salt: str | None = None
    ) -> Sequence[FirstDraw]: ...


class AuditLog(Protocol):
    """`ledger.audit`."""

    def append(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> object: ...
    def rows(self, *, subject: str) -> Iterable[Any]: ...


@dataclass(frozen=True, slots=True)
class TableInForce:
    """A model's table as it was published, with the epoch that it got its generation in."""

    table: RoutingTable
    epoch: int


@dataclass(frozen=True, slots=True)
class PlaneSeen:
    """What was found of the readings under one table, which its epoch and generation name."""

    epoch: int
    generation: int
    verdict: Verdict


@dataclass(slots=True)
class _Experiment:
    """The evidence on one experiment's split so far; each identity counts once."""

    states: Mapping[str, SampleRatio] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)


MoreAlarms = Callable[[], Mapping[str, str]]


class DataPlaneWatch:
    """`alarms` holds a sentence for each model whose studies are not read as its table says, or whose champion fails.

    `planes` holds what was found for each model. `more` are alarms of other parts, by subject; each is asked at every
    look, in the watch's own thread.
    """

    def __init__(
        self,
        decisions: Decisions,
        audit: AuditLog,
        more: Sequence[MoreAlarms] = (),
        clock: Callable[[], datetime] = now,
        executor: Executor | None = None,
    ) -> None:
        self.alarms: dict[str, str] = {}
        self.planes: Mapping[str, PlaneSeen] = {}
        self._decisions = decisions
        self._audit = audit
        self._more = more
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(1, "watch")
        self._experiments: dict[tuple[str, str], _Experiment] = {}
        self._published: dict[str, tuple[int, int, datetime]] = {}

    async def run_forever(self, tables: Callable[[], Mapping[str, TableInForce]]) -> None:
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self.look, tables())
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("alarms.look_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(CHECK_INTERVAL_S)

    def look(self, tables: Mapping[str, TableInForce]) -> None:
        """Look at every model once; a new alarm is logged and put into the audit."""
        running = {(model, e.salt) for model, one in tables.items() for e in one.table.experiments}
        self._experiments = {key: state for key, state in self._experiments.items() if key in running}
        self._published = {model: seen for model, seen in self._published.items() if model in tables}
        alarms: dict[str, str] = {}
        planes: dict[str, PlaneSeen] = {}
        for model, in_force in tables.items():
            verdict = self._verdict(in_force)
            planes[model] = PlaneSeen(in_force.epoch, in_force.table.generation, verdict.verdict)
            if verdict.verdict is Verdict.FAILED:
                alarms[model] = verdict.reason
                self._note(model, in_force.table, verdict)
            if self._champion_fails(model):
                alarms[f"{model}/champion"] = CHAMPION_FAILS
        for more in self._more:
            alarms.update(more())
        for subject in sorted(alarms.keys() - self.alarms.keys()):
            logger.error("alarms.raised", extra={"subject": subject, "reason": alarms[subject]})
        self.alarms, self.planes = alarms, planes

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _note(self, model: str, table: RoutingTable, verdict: PlaneVerdict) -> None:
        if self.alarms.get(model) == verdict.reason:
            return
        detail = {
            "reason": verdict.reason,
            "evidence": verdict.evidence,
            "generation": table.generation,
        }
        self._audit.append("controller", ALARM_ACTION, model, detail)

    def _verdict(self, in_force: TableInForce) -> PlaneVerdict:
        table = in_force.table
        groups = self._decisions.assigned_since(table.model, self._clock() - STAMP_WINDOW)
        served = [
            Served(g.generation, g.arm, g.version, g.readings, g.epoch, g.last_assigned_at) for g in groups
        ]
        ratios = [self._ratio(table.model, experiment.salt) for experiment in table.experiments]
        since = self._in_force_since(in_force)
        return verify_data_plane(intent_of(table, in_force.epoch, since), served, ratios)

    def _in_force_since(self, in_force: TableInForce) -> datetime:
        """When every router has had the time to take the table, counted from when this process first saw it."""
        model, key = in_force.table.model, (in_force.epoch, in_force.table.generation)
        seen = self._published.get(model)
        if seen is None or seen[:2] != key:
            self._published[model] = seen = (*key, self._clock())
        return seen[2] + IN_FORCE_GRACE

    def _champion_fails(self, model: str) -> bool:
        failed, answered = self._decisions.champion_failures(model, self._clock() - STAMP_WINDOW)
        share = FAILURE_SHARE / 2 if f"{model}/champion" in self.alarms else FAILURE_SHARE
        return failed >= LEAST_FAILURES and failed >= share * (failed + answered)

    def _ratio(self, model: str, salt: str) -> RatioVerdict:
        experiment = self._experiments.setdefault((model, salt), _Experiment())
        draws = self._decisions.exposures(model, experiment.since, salt=salt)
        new = [draw for draw in draws if draw.identity not in experiment.seen]
        experiment.seen |= {draw.identity for draw in new}
        experiment.states = observe_draws(experiment.states, (draw.draw for draw in new))
        experiment.since = max([experiment.since, *(draw.at - OVERLAP for draw in new)])
        return judge_ratio(experiment.states.values())


class RefusalLog:
    """Puts into the audit which version may not answer or load, and why: once per reason, also across restarts.

    It remembers what it wrote; what an earlier process wrote it finds in the audit.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._written: dict[tuple[str, str], str] = {}

    def note(self, refusals: Iterable[Refusal]) -> None:
        """Write those that are new or have another reason now."""
        for refusal in refusals:
            key = (refusal.model, refusal.version)
            if self._written.get(key) != refusal.reason:
                self._write(refusal)
                self._written[key] = refusal.reason

    def has_news(self, refusals: Iterable[Refusal]) -> bool:
        """Whether `note` would have to ask the ledger."""
        return any(self._written.get((r.model, r.version)) != r.reason for r in refusals)

    def _write(self, refusal: Refusal) -> None:
        subject = f"{refusal.model}/{refusal.version}"
        last = next((r for r in self._audit.rows(subject=subject) if r.action == REFUSED_ACTION), None)
        if last is None or last.detail["reason"] != refusal.reason:
            self._audit.append("controller", REFUSED_ACTION, subject, {"reason": refusal.reason})


def shadow_backlog(oldest_pending: Callable[[], timedelta | None], alarm_s: float) -> MoreAlarms:
    """An alarm while a shadow waits for longer than `alarm_s`."""

    def alarms() -> Mapping[str, str]:
        age = oldest_pending()
        return {"shadows": SHADOWS_WAIT} if age is not None and age.total_seconds() > alarm_s else {}

    return alarms


def audit_chain(
    keep: Callable[[bool], str | None], clock: Callable[[], datetime] = now, every: timedelta = AUDIT_LOOK
) -> MoreAlarms:
    """An alarm while the audit is not whole. Each minute what was written since is verified, once a day every row.

    `keep` verifies, every row or what is new, moves the anchor and says what is wrong.
    """
    looked: dict[bool, datetime] = {}  # by whether every row was verified
    problems: dict[bool, str | None] = {}

    def alarms() -> Mapping[str, str]:
        for full, pause in ((True, DAY), (False, every)):
            if full not in looked or clock() - looked[full] >= pause:
                problems[full] = keep(full)
                looked[full] = clock()
        problem = problems[False] or problems[True]
        return {"audit": problem} if problem else {}

    return alarms


def ledger_log(trim: Callable[[], int], alarm_bytes: int = LONG_LOG_BYTES) -> MoreAlarms:
    """Keeps the ledger's log small, with an alarm while somebody reads from it for so long that it cannot be."""

    def alarms() -> Mapping[str, str]:
        return {"ledger": LOG_GROWS} if trim() > alarm_bytes else {}

    return alarms
