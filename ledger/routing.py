"""What people decide about traffic. A change, its audit row and the new revision are one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from canary.observation import ABView
from canary.routing_table import BASIS_POINTS, Rule, Slot
from core.errors import ExperimentUnderWay
from ledger.audit import Audit
from ledger.database import Database
from ledger.routing_records import Freeze, ModelRouting, Pin, ab_document, document_of, routing_of
from ledger.tables import routing, routing_site

SITE = "site"  # the subject of the freeze in the audit
ONE_SITE = 1


@dataclass(frozen=True, slots=True)
class _Change:
    """One wish: the audit's word for it, what was asked, what stood there before, and how to apply it."""

    action: str
    asked: Mapping[str, Any]
    was: Callable[[ModelRouting], Any]
    apply: Callable[[ModelRouting], ModelRouting]


class Routing:
    """One document per model, and one freeze. A wish that changes nothing leaves no trace.

    Setters return what stands then; they raise ValueError for a number out of its range, and nothing is written.
    """

    def __init__(
        self, database: Database, audit: Audit, new_salt: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._db = database
        self._audit = audit
        self._new_salt = new_salt

    def revision(self) -> int:
        """A number that grows with each change here. Ask it before you read, so that no change is passed by."""
        with self._db.read() as connection:
            return connection.execute(sa.select(routing_site.c.revision)).scalar() or 0

    def get(self, model: str) -> ModelRouting:
        """What stands; the defaults for a model that nobody has touched."""
        with self._db.read() as connection:
            return self._get(connection, model)

    def all(self) -> Mapping[str, ModelRouting]:
        """All models that somebody has touched."""
        with self._db.read() as connection:
            rows = connection.execute(sa.select(routing).order_by(routing.c.model)).mappings()
            return {row["model"]: routing_of(dict(row)) for row in rows}

    def frozen(self) -> Freeze | None:
        with self._db.read() as connection:
            return self._freeze(connection)

    def set_weight(
        self, model: str, version: str, weight_bp: int, *, actor: str, now: datetime
    ) -> ModelRouting:
        """Send `version` that share. Another version draws another salt; a raise keeps it and moves nobody back.

        Raises ExperimentUnderWay while an A/B test runs.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            if weight_bp > 0 and before.ab is not None:
                raise ExperimentUnderWay("an A/B test of this model is running; end it first")
            salt = before.salt if before.version == version else self._new_salt()
            return replace(before, version=version, weight_bp=weight_bp, salt=salt)

        asked = {"version": version, "weight_bp": weight_bp}
        change = _Change(
            "route-weight", asked, lambda r: {"version": r.version, "weight_bp": r.weight_bp}, apply
        )
        return self._change(model, change, actor, now)

    def set_mirror(self, model: str, mirror_bp: int, *, actor: str, now: datetime) -> ModelRouting:
        """The share of studies that the candidate reads in silence."""
        change = _Change(
            "route-mirror",
            {"mirror_bp": mirror_bp},
            lambda r: r.mirror_bp,
            lambda r: replace(r, mirror_bp=mirror_bp),
        )
        return self._change(model, change, actor, now)

    def set_shadow(self, model: str, alias: str, share_bp: int, *, actor: str, now: datetime) -> ModelRouting:
        """The share of studies that the version of a `shadow-…` alias reads."""
        change = _Change(
            "route-shadow",
            {"alias": alias, "share_bp": share_bp},
            lambda r: r.shadow_bp.get(alias),
            lambda r: replace(r, shadow_bp={**r.shadow_bp, alias: share_bp}),
        )
        return self._change(model, change, actor, now)

    def set_safety_net(self, model: str, share_bp: int, *, actor: str, now: datetime) -> ModelRouting:
        """The share of the canary's studies that the champion reads in silence, in basis points."""
        change = _Change(
            "route-safety-net",
            {"share_bp": share_bp},
            lambda r: r.safety_net_bp,
            lambda r: replace(r, safety_net_bp=share_bp),
        )
        return self._change(model, change, actor, now)

    def set_rules(self, model: str, rules: Sequence[Rule], *, actor: str, now: datetime) -> ModelRouting:
        """All of a model's explicit rules, in the order in which they are tried."""
        change = _Change(
            "route-rules",
            {"rules": [asdict(rule) for rule in rules]},
            lambda r: [asdict(rule) for rule in r.rules],
            lambda r: replace(r, rules=tuple(rules)),
        )
        return self._change(model, change, actor, now)

    def pin(self, model: str, key_pseudonym: str, variant: str, *, actor: str, now: datetime) -> ModelRouting:
        """Bind one patient or study to a variant, whatever it was bound to before."""
        new = Pin(key_pseudonym, variant, actor, now)
        asked = {"key": key_pseudonym, "variant": variant}
        change = _Change("route-pin", asked, lambda r: _pinned(r, key_pseudonym), lambda r: _pin(r, new))
        return self._change(model, change, actor, now)

    def unpin(self, model: str, key_pseudonym: str, *, actor: str, now: datetime) -> ModelRouting:
        change = _Change(
            "route-unpin",
            {"key": key_pseudonym},
            lambda r: _pinned(r, key_pseudonym),
            lambda r: replace(r, pins=_others(r, key_pseudonym)),
        )
        return self._change(model, change, actor, now)

    def set_ab(
        self,
        model: str,
        weights_bp: Mapping[str, int],
        *,
        coverage_bp: int = BASIS_POINTS,
        slot: Slot | None = None,
        actor: str,
        now: datetime,
    ) -> ModelRouting:
        """Begin an A/B test of `arm-…` aliases, or open a running one wider. Other weights are another test.

        Raises ExperimentUnderWay while a candidate has a weight.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            if before.weight_bp > 0:
                raise ExperimentUnderWay("a rollout is under way; set its weight to 0 first")
            ab = before.ab
            same = ab is not None and (dict(ab.weights_bp), ab.slot) == (dict(weights_bp), slot)
            salt = ab.salt if ab is not None and same else self._new_salt()
            return replace(before, ab=ABView(salt, dict(weights_bp), coverage_bp, slot))

        asked = {"weights_bp": dict(weights_bp), "coverage_bp": coverage_bp}
        change = _Change("ab-set", asked, lambda r: ab_document(r.ab), apply)
        return self._change(model, change, actor, now)

    def end_ab(self, model: str, *, actor: str, now: datetime) -> ModelRouting:
        change = _Change("ab-end", {}, lambda r: ab_document(r.ab), lambda r: replace(r, ab=None))
        return self._change(model, change, actor, now)

    def freeze(self, *, actor: str, reason: str, now: datetime) -> Freeze:
        """All traffic to the champions, and nothing moves, until `unfreeze`."""
        thrown = Freeze(actor, reason, now)
        self._set_freeze(thrown, actor, now)
        return thrown

    def unfreeze(self, *, actor: str, now: datetime) -> None:
        self._set_freeze(None, actor, now)

    def _change(self, model: str, change: _Change, actor: str, now: datetime) -> ModelRouting:
        with self._db.write() as connection:
            self._db.serialise(connection, "routing")
            before = self._get(connection, model)
            after = change.apply(before)
            if after == before:
                return before
            freeze = self._freeze(connection)
            after = replace(after, changed_at=now, revision=self._next(connection, freeze))
            row = {"model": model, "revision": after.revision, "changed_at": now}
            over = self._db.insert_over(routing, ("model",))
            connection.execute(over, row | {"document": document_of(after)})
            detail = {**change.asked, "was": change.was(before)}
            self._audit.append_within(connection, actor, change.action, model, detail, now)
        return after

    def _set_freeze(self, freeze: Freeze | None, actor: str, now: datetime) -> None:
        with self._db.write() as connection:
            self._db.serialise(connection, "routing")
            if freeze is None and self._freeze(connection) is None:
                return
            revision = self._next(connection, freeze)
            action, detail = ("unfreeze", {}) if freeze is None else ("freeze", {"reason": freeze.reason})
            self._audit.append_within(connection, actor, action, SITE, detail | {"revision": revision}, now)

    def _get(self, connection: Connection, model: str) -> ModelRouting:
        query = sa.select(routing).where(routing.c.model == model)
        row = connection.execute(query).mappings().first()
        return ModelRouting(model) if row is None else routing_of(dict(row))

    def _freeze(self, connection: Connection) -> Freeze | None:
        found = connection.execute(sa.select(routing_site.c.freeze)).scalar()
        if found is None:
            return None
        return Freeze(found["actor"], found["reason"], datetime.fromisoformat(found["at"]))

    def _next(self, connection: Connection, freeze: Freeze | None) -> int:
        """Write the freeze under the next revision, which is returned."""
        last = connection.execute(sa.select(routing_site.c.revision)).scalar() or 0
        kept = None if freeze is None else asdict(freeze) | {"at": freeze.at.isoformat()}
        row = {"id": ONE_SITE, "revision": last + 1, "freeze": kept}
        connection.execute(self._db.insert_over(routing_site, ("id",)), row)
        return last + 1


def _pinned(routing: ModelRouting, key: str) -> str | None:
    pin = routing.pin_of(key)
    return None if pin is None else pin.variant


def _pin(routing: ModelRouting, new: Pin) -> ModelRouting:
    """The same pin again is no change, whoever asks for it."""
    if _pinned(routing, new.key) == new.variant:
        return routing
    return replace(routing, pins=(*_others(routing, new.key), new))


def _others(routing: ModelRouting, key: str) -> tuple[Pin, ...]:
    return tuple(pin for pin in routing.pins if pin.key != key)
