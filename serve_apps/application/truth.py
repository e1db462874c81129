"""What callers can tell of a study: what was really there. From here on by pseudonym; no reader, no note in a log."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from canary.truth import Truth, TruthLabel, TruthSource, in_force
from core.clock import now
from core.errors import InvalidField
from ledger import AddedTruth, Ledger, NewTruth, StoredTruth
from models.masks import MILLILITER
from models.spec import OutputSpec
from observability.redaction import Pseudonymiser
from serve_apps.application.callers import Caller
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.shadow import key_of

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=5)  # by which another clock may be


@dataclass(frozen=True, slots=True)
class ToldTruth:
    """As a caller tells it. `finding` may be left out where the model speaks of one thing only."""

    model: str
    source: TruthSource
    reader: str = field(repr=False)
    read_at: datetime
    finding: str | None = None
    label: TruthLabel | None = None
    value: float | None = None
    unit: str | None = None
    note: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KnownTruth:
    """A truth as it stands among the others of its study and finding."""

    truth: StoredTruth
    is_in_force: bool


class TruthService:
    """Adds, withdraws and shows the truths of a caller's tenant."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        keys: Pseudonymiser,
        executor: Executor,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._keys = keys
        self._executor = executor

    async def add(
        self, study_uid: str, told: ToldTruth, caller: Caller, *, tenant: str | None, actor: str
    ) -> AddedTruth:
        """Keep a truth of a study that was read, or will be. Raises RequestError or NotReady.

        It is of the tenant that is named, else of the caller's.
        """
        whose = caller.tenant_named(tenant) or caller.tenant
        require_read(told.read_at, now())
        new = NewTruth(
            tenant=whose,
            study_key=self._keys.study(study_uid),
            model=told.model,
            finding=subject_of(self._snapshot(), told),
            source=told.source,
            reader=told.reader,
            read_at=told.read_at,
            label=told.label,
            value=told.value,
            unit=told.unit,
            note=told.note,
        )
        return await run_in(self._executor, self._ledger.truths.add, new, actor=actor)

    async def withdraw(self, study_uid: str, truth: str, caller: Caller, *, actor: str) -> KnownTruth:
        """The truth counts no more, and stays in the history. Raises TruthNotFound."""
        gone = await run_in(
            self._executor,
            self._ledger.truths.withdraw,
            truth,
            self._keys.study(study_uid),
            tenant=caller.confined_to,
            actor=actor,
        )
        return KnownTruth(gone, False)

    async def of_study(self, study_uid: str, caller: Caller, tenant: str | None) -> tuple[KnownTruth, ...]:
        """All that was told of the study, and which of it counts."""
        return await self._known(study_uid, caller.tenant_named(tenant))

    async def of_job(self, job_id: str, caller: Caller) -> tuple[KnownTruth, ...]:
        """What the job's tenant was told of its study. Raises JobNotFound."""
        job = await run_in(self._executor, self._ledger.jobs.get, job_id)
        caller.require_sight(job.tenant)
        return await self._known(job.study.study_uid, job.tenant)

    async def among_others(self, truth: StoredTruth) -> KnownTruth:
        """Whether the truth counts among the others of its study."""
        told = self._ledger.truths.of_study
        stored = await run_in(self._executor, told, truth.study_key, tenant=truth.tenant)
        return next(known for known in known_truths(stored) if known.truth.id == truth.id)

    async def _known(self, study_uid: str, tenant: str | None) -> tuple[KnownTruth, ...]:
        key = self._keys.study(study_uid)
        return known_truths(await run_in(self._executor, self._ledger.truths.of_study, key, tenant=tenant))


def known_truths(stored: tuple[StoredTruth, ...]) -> tuple[KnownTruth, ...]:
    """Which of a study's truths are in force: one of each tenant, model and finding, as far as any counts."""
    subjects: dict[tuple[str, str, str], list[Truth]] = {}
    for each in stored:
        subjects.setdefault((each.tenant, each.model, each.finding), []).append(each.told)
    chosen = {subject: in_force(truths) for subject, truths in subjects.items()}
    return tuple(KnownTruth(t, chosen[t.tenant, t.model, t.finding] == t.told) for t in stored)


def require_read(read_at: datetime, at: datetime) -> None:
    """Raise InvalidField for a reading that nobody can have done."""
    if not EARLIEST <= read_at <= at + AHEAD:
        raise InvalidField("a reading is of the past", "/read_at")


def findings_of(snapshot: RoutingSnapshot, model: str) -> set[str]:
    """The findings that the model's versions speak of, by their keys. Raises as `RoutingSnapshot.table` does."""
    return {key_of(finding.concept) for spec in _outputs_of(snapshot, model) for finding in spec.findings}


def _outputs_of(snapshot: RoutingSnapshot, model: str) -> list[OutputSpec]:
    snapshot.table(model)
    return [version.spec.output for version in snapshot.endpoints.values() if version.model == model]


def subject_of(snapshot: RoutingSnapshot, told: ToldTruth) -> str:
    """What the truth is about, as the model's versions name it: `1386000@SCT`.

    Raises InvalidField for what none of them speaks of, or a unit that it is not measured in; UnknownModel or
    NotReady.
    """
    if told.label is not None:
        known = findings_of(snapshot, told.model)
    else:
        specs = _outputs_of(snapshot, told.model)
        known = {key_of(spec.volume_concept) for spec in specs if spec.volume_concept is not None}
        if (told.unit or "").lower() != MILLILITER.value:
            raise InvalidField(f"the model measures in {MILLILITER.value}", "/unit")
    finding = next(iter(known)) if told.finding is None and len(known) == 1 else told.finding
    if finding not in known:
        raise InvalidField("name one finding of the model, as its spec does: 1386000@SCT", "/finding")
    return finding
