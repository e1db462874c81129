"""A shadow runner and all that it works with, made by hand: the ledger's rows, the versions, the sources."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from canary.disclosure import Audience, Role
from canary.explain import DecisionRow
from core.clock import now
from core.codec import to_plain
from core.priority import QueueOrder
from core.study import StudyRef
from imaging.finding import Prediction, Presence, Urgency
from imaging.series import SeriesRule
from ledger import ClaimedShadow, LeaseLost
from observability.record import StudyTrace
from observability.redaction import Pseudonymiser
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.recent_studies import RecentStudies
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.run_shadow import ShadowContext, ShadowLimits, ShadowRunner
from serve_apps.application.shadow import ShadowOutcome
from serve_apps.application.study_traces import StudyTraces
from tests.unit.shell.builders import a_prediction, a_snapshot, a_spec, a_version
from tests.unit.shell.inline import Here, Keeper
from tests.unit.shell.worker_fakes import a_study as fetched

STUDY = StudyRef("pacs", "1.2.840.77", ("1.2.3",))
RULE = SeriesRule(("CT",), min_slices=24)
CHAMPION, SHADOW_VERSION = a_version("1"), a_version("2")


def absent(version: str) -> Prediction:
    """A prediction that sees no bleeding."""
    (finding,) = a_prediction().findings
    missed = replace(finding, presence=Presence.ABSENT, probability=0.1, urgency=Urgency.NONE)
    return a_prediction(version, findings=(missed,), urgency=Urgency.NONE)


def a_claim(
    token: str = "t", job_id: str = "job", role: Role = Role.SHADOW, age_s: float = 0.0, **changes: Any
) -> ClaimedShadow:
    """Version 2 as a shadow, or version 1 as the safety net, of a study in which the caller was told of nothing."""
    version = "2" if role is Role.SHADOW else "1"
    decision = DecisionRow(
        "patient:p", "ich-triage", 7, "draw", "a", "v", version, "d", role.value, "due", ""
    )
    fields: dict[str, Any] = {
        "model": "ich-triage",
        "version": version,
        "app": a_version(version).app_name,
        "variant": f"variant-{version}",
        "role": role.value,
        "study": STUDY,
        "decision": decision,
        "delivered": ShadowOutcome.from_prediction(absent("9"), a_spec()).as_json(),
        "rule": to_plain(RULE),
        "token": token,
        "attempt": 1,
        "losses": 0,
        "job_id": job_id,
        "study_key": "st-1",
        "created_at": now() - timedelta(seconds=age_s),
    }
    return ClaimedShadow(**(fields | changes))


def a_snapshot_of(*versions: ServedVersion) -> RoutingSnapshot:
    """Version 1 is the champion; the others are served beside it."""
    snapshot = a_snapshot(CHAMPION)
    served = {version.app_name: version for version in (CHAMPION, SHADOW_VERSION, *versions)}
    return replace(snapshot, endpoints=served)


@dataclass
class Rows:
    """The pending tasks, and what was said of them."""

    pending: list[ClaimedShadow] = field(default_factory=list)
    finished: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    failures: list[tuple[str, str, float | None, bool]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)  # raised by the next writes
    claims: int = 0
    records: list[StudyTrace] = field(default_factory=list)

    def claim(
        self,
        worker: str,
        lease_s: float,
        limit: int,
        apps: Collection[str],
        roles: Collection[str],
        min_age_s: float,
    ) -> tuple[ClaimedShadow, ...]:
        self.claims += 1
        oldest = now() - timedelta(seconds=min_age_s)
        due = [t for t in self.pending if t.role in roles and t.app in apps and t.created_at <= oldest][
            :limit
        ]
        self.pending = [t for t in self.pending if t not in due]
        return tuple(due)

    def done(self, token: str, outcome: Mapping[str, Any], latency_ms: float, record: StudyTrace) -> None:
        self._fence(token)
        self.records.append(record)
        self.finished.append((token, outcome))

    def failed(
        self, token: str, code: str, retry_at: datetime | None, *, counts: bool, record: StudyTrace
    ) -> None:
        self._fence(token)
        self.records.append(record)
        pause_s = None if retry_at is None else (retry_at - now()).total_seconds()
        self.failures.append((token, code, pause_s, counts))

    def release(self, token: str) -> None:
        self._fence(token)
        self.released.append(token)

    def _fence(self, token: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if token in self.lost:
            raise LeaseLost("the shadow task is no longer this worker's")


@dataclass
class Escalations:
    recorded: list[tuple[str, Mapping[str, Any], Audience]] = field(default_factory=list)

    def record(self, job_id: str, escalation: Mapping[str, Any], audience: Audience) -> bool:
        self.recorded.append((job_id, escalation, audience))
        return True


@dataclass
class Live:
    running: bool = False

    def any_running(self) -> bool:
        return self.running


@dataclass
class Port:
    """Study reader and versions: what was asked for, and what comes back or is raised."""

    predictions: dict[str, Prediction] = field(default_factory=dict)
    raises: list[Exception] = field(default_factory=list)
    fetched: list[FetchRequest] = field(default_factory=list)
    asked: list[tuple[str, str, QueueOrder | None]] = field(default_factory=list)  # version, study, order
    hanging: asyncio.Event | None = None
    takes_s: float = 0.0  # by the runner's clock
    work_ms: float | None = None
    now_s: float = 0.0

    def clock(self) -> float:
        return self.now_s

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        self.fetched.append(request)
        return a_study("fetched", request.eligible[0].rule)

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return await self._inference(version, study, order)

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        return await self._inference(version, study, None)

    async def _inference(
        self, version: ServedVersion, study: FetchedStudy, order: QueueOrder | None
    ) -> Inference:
        self.asked.append((version.version, study.volume, order))
        if self.hanging is not None:
            await self.hanging.wait()
        self.now_s += self.takes_s
        if self.raises:
            raise self.raises.pop(0)
        prediction = self.predictions.get(version.version, a_prediction(version.version))
        return Inference(prediction, (), "cpu", self.work_ms)


def a_study(volume: str = "held", rule: SeriesRule = RULE) -> FetchedStudy:
    return replace(fetched(), rule=rule, volume=volume, bytes_received=0, content_digest="")


class Shadows:
    """A runner of one role, and all that it works with."""

    def __init__(
        self,
        *pending: ClaimedShadow,
        role: Role = Role.SHADOW,
        afterwards: Collection[Role] = (),
        **limits: Any,
    ) -> None:
        self.rows, self.escalations, self.live = Rows(list(pending)), Escalations(), Live()
        self.port, self.keeper, self.recent = Port(), Keeper(), RecentStudies(4, 300.0)
        self.snapshot = a_snapshot_of()
        context = ShadowContext(
            "shadow-worker-1",
            self.rows,
            self.escalations,
            self.live,
            self.port,
            lambda: self.snapshot,
            self.recent,
            self.keeper,
            StudyTraces(Pseudonymiser(b"k" * 32), "site"),
            Here(),
            ShadowLimits(**({"handover_s": 0.0, "note_again_s": 0.0, "idle_s": 0.01} | limits)),
            monotonic=self.port.clock,
        )
        self.runner = ShadowRunner(role, context, afterwards)
