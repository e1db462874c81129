"""Where each rollout stands, what it went through, and who approved it.

Whoever writes names the revision that the decision was made for: of two controllers, or of a look and a person's
word, one is written and the other looks again. Status, events, approval and audit are one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.rollout.advance import Event
from canary.rollout.plan import RolloutPlan
from canary.rollout.plan_digest import plan_digest
from canary.rollout.seen import Approval
from canary.rollout.status import RolloutStatus
from core.codec import from_plain, to_plain
from core.errors import RolloutConflict
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.tables import UtcTime, rollout_approvals, rollout_events, rollouts

MOVED: Final = "the rollout has moved meanwhile; read it again"
MOST_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """One run as it is written. `revision` counts its writes, from 1."""

    plan: RolloutPlan
    status: RolloutStatus
    revision: int

    @property
    def key(self) -> tuple[str, int]:
        return self.status.model, self.status.run


@dataclass(frozen=True, slots=True)
class RolloutEvent:
    """One change as it is written; `number` counts those of the run, from 1. `before` is None at its beginning."""

    number: int
    at: datetime
    actor: str
    reason: str
    before: RolloutStatus | None
    after: RolloutStatus


class Rollouts:
    """Begins and moves rollouts. Each event has its row in the audit; events are append only."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit
        self._read: dict[tuple[str, int], StoredRollout] = {}  # what was read last of each run

    def newest(self) -> tuple[StoredRollout, ...]:
        """The newest run of each version of each model, by model and run. Only what has changed is read again."""
        return self._db.remembered("rollouts", lambda: self._newest_where(sa.true()))

    def of_model(self, model: str) -> tuple[StoredRollout, ...]:
        """The newest run of each version of a model, the last to begin at the end."""
        return self._newest_where(rollouts.c.model == model)

    def of_run(self, model: str, run: int) -> StoredRollout | None:
        """One run of a model, which need not be the newest of its version; None where there is none."""
        with self._db.read() as connection:
            revision = connection.execute(_of_run(model, run)).mappings().first()
            return None if revision is None else self._stored(connection, model, run, revision["revision"])

    def events(self, model: str, run: int, limit: int = MOST_EVENTS) -> tuple[RolloutEvent, ...]:
        """Newest first."""
        query = (
            sa.select(rollout_events)
            .where((rollout_events.c.model == model) & (rollout_events.c.run == run))
            .order_by(rollout_events.c.number.desc())
            .limit(limit)
        )
        with self._db.read() as connection:
            return tuple(_event(row) for row in connection.execute(query).mappings())

    def approvals(self, model: str, run: int) -> tuple[Approval, ...]:
        """In the order in which they were given."""
        its = (rollout_approvals.c.model == model) & (rollout_approvals.c.run == run)
        query = sa.select(rollout_approvals).where(its).order_by(rollout_approvals.c.at)
        with self._db.read() as connection:
            rows = connection.execute(query).mappings()
            return tuple(Approval(r["run"], r["step"], r["role"], r["actor"], r["at"]) for r in rows)

    def begin(self, plan: RolloutPlan, status: RolloutStatus, *, actor: str) -> StoredRollout:
        """Keep the first status of a new run. Raises RolloutConflict unless it is the model's next one."""
        with self._db.write() as connection:
            self._db.serialise(connection, f"rollout/{status.model}")
            return self._insert(
                connection, plan, status, Event(status, status, status.began_at, actor, status.reason)
            )

    def move(
        self,
        before: StoredRollout,
        status: RolloutStatus,
        events: Iterable[Event] = (),
        *,
        approval: Approval | None = None,
    ) -> StoredRollout:
        """Write what came of a look or a verb. A status of another run than the one before begins that run.

        Raises RolloutConflict when somebody wrote since `before` was read; then nothing is written.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"rollout/{status.model}")
            self._require_unmoved(connection, before)
            if status.run != before.status.run:
                (event,) = events
                return self._insert(connection, before.plan, status, event)
            after = self._update(connection, before, before.plan, status)
            self._append(connection, status, events)
            if approval is not None:
                self._approve(connection, status.model, approval)
        return after

    def amend(self, before: StoredRollout, plan: RolloutPlan, *, actor: str) -> StoredRollout:
        """Put another plan in the place of the one that stands; the caller has asked whether it may be."""
        with self._db.write() as connection:
            self._db.serialise(connection, f"rollout/{before.status.model}")
            self._require_unmoved(connection, before)
            after = self._update(connection, before, plan, before.status)
            detail = {"run": before.status.run, "plan": plan_digest(plan)}
            self._audit.append_within(connection, actor, "rollout-plan", before.status.model, detail)
        return after

    def _newest_where(self, which: sa.ColumnElement[bool]) -> tuple[StoredRollout, ...]:
        last = sa.select(rollouts.c.model, sa.func.max(rollouts.c.run).label("run")).where(which)
        last_runs = last.group_by(rollouts.c.model, rollouts.c.candidate).subquery()
        its = (rollouts.c.model == last_runs.c.model) & (rollouts.c.run == last_runs.c.run)
        heads = sa.select(rollouts.c.model, rollouts.c.run, rollouts.c.revision).join(last_runs, its)
        with self._db.read() as connection:
            found = connection.execute(heads.order_by(rollouts.c.model, rollouts.c.run)).all()
            return tuple(self._stored(connection, model, run, revision) for model, run, revision in found)

    def _stored(self, connection: Connection, model: str, run: int, revision: int) -> StoredRollout:
        known = self._read.get((model, run))
        if known is not None and known.revision == revision:
            return known
        row = connection.execute(_of_run(model, run)).mappings().one()
        found = StoredRollout(_plan(row), from_plain(RolloutStatus, row["status"]), row["revision"])
        self._read[model, run] = found
        return found

    def _require_unmoved(self, connection: Connection, before: StoredRollout) -> None:
        """Hold the row until the transaction ends."""
        row = connection.execute(self._db.held(_of_run(*before.key))).mappings().first()
        if row is None or row["revision"] != before.revision:
            raise RolloutConflict(MOVED)

    def _insert(
        self, connection: Connection, plan: RolloutPlan, status: RolloutStatus, event: Event
    ) -> StoredRollout:
        last = sa.select(sa.func.max(rollouts.c.run)).where(rollouts.c.model == status.model)
        if status.run != 1 + (connection.execute(last).scalar() or 0):
            raise RolloutConflict(MOVED)
        row = {
            "model": status.model,
            "run": status.run,
            "candidate": status.candidate,
            "began_at": status.began_at,
            "revision": 1,
            **self._columns(connection, plan, status),
        }
        require_fits(rollouts, row)
        connection.execute(sa.insert(rollouts).values(**row))
        self._append(connection, status, (event,), is_first=True)
        return StoredRollout(plan, status, 1)

    def _update(
        self, connection: Connection, before: StoredRollout, plan: RolloutPlan, status: RolloutStatus
    ) -> StoredRollout:
        revision = before.revision + 1
        its = (rollouts.c.model == status.model) & (rollouts.c.run == status.run)
        values = {"revision": revision, **self._columns(connection, plan, status)}
        connection.execute(sa.update(rollouts).where(its).values(**values))
        return StoredRollout(plan, status, revision)

    def _columns(self, connection: Connection, plan: RolloutPlan, status: RolloutStatus) -> dict[str, Any]:
        """What each write changes. `ended_at` stays the time of the first write that said so."""
        now = sa.literal(self._db.now(connection), UtcTime)
        return {
            "plan": to_plain(plan),
            "plan_digest": plan_digest(plan),
            "status": to_plain(status),
            "ended_at": sa.func.coalesce(rollouts.c.ended_at, now) if status.has_ended else None,
        }

    def _append(
        self,
        connection: Connection,
        status: RolloutStatus,
        events: Iterable[Event],
        *,
        is_first: bool = False,
    ) -> None:
        its = (rollout_events.c.model == status.model) & (rollout_events.c.run == status.run)
        last = connection.execute(sa.select(sa.func.max(rollout_events.c.number)).where(its)).scalar() or 0
        for number, event in enumerate(events, last + 1):
            row = {
                "model": status.model,
                "run": status.run,
                "number": number,
                "at": event.at,
                "actor": event.actor,
                "reason": event.reason,
                "before": None if is_first else to_plain(event.before),
                "after": to_plain(event.after),
            }
            require_fits(rollout_events, row)
            connection.execute(sa.insert(rollout_events).values(**row))
            self._audit.append_within(
                connection, event.actor, "rollout", status.model, _told(event, is_first)
            )

    def _approve(self, connection: Connection, model: str, approval: Approval) -> None:
        row = {"model": model, **to_plain(approval), "at": approval.at}
        require_fits(rollout_approvals, row)
        keys = ("model", "run", "step", "role", "actor")
        connection.execute(self._db.insert_once(rollout_approvals, keys), row)


def _told(event: Event, is_first: bool) -> dict[str, Any]:
    """What the audit says of an event."""
    after = event.after
    was = None if is_first else {"phase": event.before.phase.value, "step": event.before.step}
    return {
        "run": after.run,
        "candidate": after.candidate,
        "was": was,
        "phase": after.phase.value,
        "step": after.step,
        "weight_bp": after.weight_bp,
        "reason": event.reason,
    }


def _of_run(model: str, run: int) -> sa.Select[Any]:
    return sa.select(rollouts).where((rollouts.c.model == model) & (rollouts.c.run == run))


def _plan(row: RowMapping | Mapping[str, Any]) -> RolloutPlan:
    return from_plain(RolloutPlan, row["plan"])


def _event(row: RowMapping) -> RolloutEvent:
    before = None if row["before"] is None else from_plain(RolloutStatus, row["before"])
    after = from_plain(RolloutStatus, row["after"])
    return RolloutEvent(row["number"], row["at"], row["actor"], row["reason"], before, after)
