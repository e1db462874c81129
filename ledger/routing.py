"""What people decide about traffic. A change, its audit row and the new revision are one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from canary.observation import ABView
from canary.routing_table import BASIS_POINTS, Rule, Slot
from core.codec import from_plain, to_plain
from core.errors import ExperimentUnderWay, RoutingConflict
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.routing_records import (
    RULES,
    WEIGHT,
    Freeze,
    ModelRouting,
    Pin,
    ab_document,
    document_of,
    pin_name,
    routing_of,
    shadow_name,
)
from ledger.routing_slots import keeps_everybody, require_exclusive, slot_document
from ledger.tables import decisions, routing, routing_site

SITE = "site"  # the subject of the freeze in the audit
ONE_SITE = 1


@dataclass(frozen=True, slots=True)
class _Change:
    """One decision: the audit's word for it, what was asked, what stood there before, and how to apply it."""

    action: str
    asked: Mapping[str, Any]
    was: Callable[[ModelRouting], Any]
    apply: Callable[[ModelRouting], ModelRouting]
    advance: tuple[str, datetime | None] | None = (
        None  # its name among what was asked for in advance, and until when
    )

    @property
    def detail(self) -> dict[str, Any]:
        until = self.advance[1] if self.advance else None
        return {**self.asked, **({"in_advance_until": until.isoformat()} if until else {})}

    def applied(self, before: ModelRouting) -> ModelRouting:
        """What comes of it; the mark of an earlier decision of that name goes."""
        after = self.apply(before)
        if self.advance is None:
            return after
        name, until = self.advance
        others = {key: at for key, at in after.in_advance.items() if key != name}
        return replace(after, in_advance=others if until is None else {**others, name: until})


class Routing:
    """One document per model, and one freeze. A decision that changes nothing leaves no trace.

    Setters return what stands then; they raise ValueError for a number out of its range and InvalidField for a name
    that is too long, and nothing is written. `in_advance_until` marks a decision about a version or variant that does
    not exist yet: it expires then, unless `arrived`, or the same decision without a time, takes the mark away.
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
        return self._db.remembered("routing of all models", self._all)

    def _all(self) -> Mapping[str, ModelRouting]:
        with self._db.read() as connection:
            rows = connection.execute(sa.select(routing).order_by(routing.c.model)).mappings()
            return {row["model"]: routing_of(dict(row)) for row in rows}

    def frozen(self) -> Freeze | None:
        with self._db.read() as connection:
            return self._freeze(connection)

    def set_weight(
        self,
        model: str,
        version: str,
        weight_bp: int,
        *,
        actor: str,
        expected_revision: int | None = None,
        in_advance_until: datetime | None = None,
    ) -> ModelRouting:
        """Send `version` that share. It keeps its salt while its candidacy lasts, so a correction moves nobody.

        Raises ExperimentUnderWay while an A/B test has the same patients, and RoutingConflict when the model's
        routing is not of `expected_revision` any more.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            if weight_bp > 0 and before.ab is not None:
                require_exclusive(
                    before.slot, before.ab.slot, "an A/B test of this model is running; end it first"
                )
            salts = {**before.salts, version: before.salts.get(version) or self._new_salt()}
            return _weighted(replace(before, salts=salts), version, weight_bp, actor)

        asked = {"version": version, "weight_bp": weight_bp}
        require_fits(decisions, {"version": version})
        change = _Change("route-weight", asked, _weight, apply, (WEIGHT, in_advance_until))
        return self._change(model, change, actor, expected_revision)

    def set_slot(
        self, model: str, slot: Slot | None, *, actor: str, expected_revision: int | None = None
    ) -> ModelRouting:
        """Give the model's rollouts a slot of a layer, or all patients.

        Raises ExperimentUnderWay for a slot that would take patients from a version with a weight, or give it those
        of an A/B test, and RoutingConflict as `set_weight` does.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            if before.weight_bp > 0 and not keeps_everybody(before.slot, slot):
                share = f"version {before.version} has a weight of {before.weight_bp / 100:g} %"
                within = f", or choose a slot that contains {before.slot}" if before.slot else ""
                raise ExperimentUnderWay(f"{share} and would lose patients: set it to 0 first{within}")
            if before.ab is not None and (before.weight_bp > 0 or slot is not None):
                require_exclusive(slot, before.ab.slot, "an A/B test of this model is running; end it first")
            return replace(before, slot=slot)

        asked = {"slot": slot_document(slot)}
        change = _Change("route-layer", asked, lambda r: slot_document(r.slot), apply)
        return self._change(model, change, actor, expected_revision)

    def end_candidacy(
        self, model: str, version: str, expected_revision: int, *, actor: str = "controller"
    ) -> bool:
        """Take weight and salt from a version that is no candidate any more; returns whether that was done.

        It is not when somebody has decided since `expected_revision` of the model's routing: that decision is newer.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            salts = {name: salt for name, salt in before.salts.items() if name != version}
            if before.version != version:
                return replace(before, salts=salts)
            in_advance = {name: until for name, until in before.in_advance.items() if name != WEIGHT}
            return replace(_weighted(before, None, 0, actor), salts={}, in_advance=in_advance)

        change = _Change("candidacy-ended", {"version": version}, _weight, apply)
        try:
            self._change(model, change, actor, expected_revision)
        except RoutingConflict:
            return False
        return True

    def arrived(self, model: str, names: Collection[str], *, actor: str = "controller") -> ModelRouting:
        """What was asked for in advance exists now, so it does not expire. `names` are keys of `in_advance`."""

        def apply(before: ModelRouting) -> ModelRouting:
            kept = {name: until for name, until in before.in_advance.items() if name not in names}
            return replace(before, in_advance=kept)

        change = _Change("route-arrived", {"names": sorted(names)}, lambda r: sorted(r.in_advance), apply)
        return self._change(model, change, actor)

    def set_mirror(self, model: str, mirror_bp: int, *, actor: str) -> ModelRouting:
        """The share of studies that the candidate reads as a shadow."""
        change = _Change(
            "route-mirror",
            {"mirror_bp": mirror_bp},
            lambda r: r.mirror_bp,
            lambda r: replace(r, mirror_bp=mirror_bp),
        )
        return self._change(model, change, actor)

    def set_shadow(
        self, model: str, alias: str, share_bp: int, *, actor: str, in_advance_until: datetime | None = None
    ) -> ModelRouting:
        """The share of studies that the version of a `shadow-…` alias reads."""

        def apply(before: ModelRouting) -> ModelRouting:
            return replace(before, shadow_bp={**before.shadow_bp, alias: share_bp})

        change = _Change(
            "route-shadow",
            {"alias": alias, "share_bp": share_bp},
            lambda r: r.shadow_bp.get(alias),
            apply,
            (shadow_name(alias), in_advance_until),
        )
        return self._change(model, change, actor)

    def set_safety_net(self, model: str, share_bp: int, *, actor: str) -> ModelRouting:
        """The share of the canary's studies that the champion reads too, in basis points."""
        change = _Change(
            "route-safety-net",
            {"share_bp": share_bp},
            lambda r: r.safety_net_bp,
            lambda r: replace(r, safety_net_bp=share_bp),
        )
        return self._change(model, change, actor)

    def set_rules(
        self, model: str, rules: Sequence[Rule], *, actor: str, in_advance_until: datetime | None = None
    ) -> ModelRouting:
        """All of a model's explicit rules, in the order in which they are tried."""
        change = _Change(
            "route-rules",
            {"rules": [asdict(rule) for rule in rules]},
            lambda r: [asdict(rule) for rule in r.rules],
            lambda r: replace(r, rules=tuple(rules)),
            (RULES, in_advance_until),
        )
        return self._change(model, change, actor)

    def pin(
        self,
        model: str,
        key_pseudonym: str,
        variant: str,
        *,
        actor: str,
        in_advance_until: datetime | None = None,
    ) -> ModelRouting:
        """Bind one patient or study to a variant, whatever it was bound to before."""

        with self._db.read() as connection:
            new = Pin(key_pseudonym, variant, actor, self._db.now(connection))
        change = _Change(
            "route-pin",
            {"key": key_pseudonym, "variant": variant},
            _pinned(key_pseudonym),
            lambda r: _pin(r, new),
            (pin_name(key_pseudonym), in_advance_until),
        )
        return self._change(model, change, actor)

    def unpin(self, model: str, key_pseudonym: str, *, actor: str) -> ModelRouting:
        """Take the pin of a patient or study away."""
        change = _Change(
            "route-unpin",
            {"key": key_pseudonym},
            _pinned(key_pseudonym),
            lambda r: replace(r, pins=_others(r, key_pseudonym)),
            (pin_name(key_pseudonym), None),
        )
        return self._change(model, change, actor)

    def set_ab(
        self,
        model: str,
        weights_bp: Mapping[str, int],
        *,
        coverage_bp: int = BASIS_POINTS,
        slot: Slot | None = None,
        actor: str,
    ) -> ModelRouting:
        """Begin an A/B test of `arm-…` aliases, or open a running one wider. Other weights are another test.

        Raises ExperimentUnderWay while a candidate has a weight among the same patients.
        """

        def apply(before: ModelRouting) -> ModelRouting:
            if before.weight_bp > 0:
                require_exclusive(before.slot, slot, "a rollout is under way; set its weight to 0 first")
            ab = before.ab
            same = ab is not None and (dict(ab.weights_bp), ab.slot) == (dict(weights_bp), slot)
            salt = ab.salt if ab is not None and same else self._new_salt()
            return replace(before, ab=ABView(salt, dict(weights_bp), coverage_bp, slot))

        asked = {"weights_bp": dict(weights_bp), "coverage_bp": coverage_bp, "slot": slot_document(slot)}
        change = _Change("ab-set", asked, lambda r: ab_document(r.ab), apply)
        return self._change(model, change, actor)

    def end_ab(self, model: str, *, actor: str) -> ModelRouting:
        """All patients go back to the champion."""
        change = _Change("ab-end", {}, lambda r: ab_document(r.ab), lambda r: replace(r, ab=None))
        return self._change(model, change, actor)

    def freeze(self, *, actor: str, reason: str) -> Freeze:
        """All traffic to the champions, and nothing moves, until `unfreeze`. Waits for no other change of routing."""
        with self._db.write() as connection:
            now, revision = self._db.now(connection), self._next_revision(connection)
            thrown = Freeze(actor, reason, now, revision)
            connection.execute(sa.update(routing_site).values(freeze=to_plain(thrown)))
            detail = {"reason": reason, "revision": revision}
            self._audit.append_within(connection, actor, "freeze", SITE, detail)
        return thrown

    def unfreeze(self, *, actor: str) -> int:
        """Let traffic move again; returns the routing revision that says so."""
        with self._db.write() as connection:
            if self._freeze(connection) is None:
                return self._revision(connection)
            revision = self._next_revision(connection)
            connection.execute(sa.update(routing_site).values(freeze=None))
            self._audit.append_within(connection, actor, "unfreeze", SITE, {"revision": revision})
        return revision

    def _change(
        self, model: str, change: _Change, actor: str, expected_revision: int | None = None
    ) -> ModelRouting:
        require_fits(routing, {"model": model})
        with self._db.write() as connection:
            self._db.serialise(connection, f"routing/{model}")
            before = self._get(connection, model)
            if expected_revision not in (None, before.revision):
                raise RoutingConflict("the model's routing was changed meanwhile; read it again")
            after = change.applied(before)
            if after == before:
                return before
            now = self._db.now(connection)
            after = replace(after, changed_at=now, revision=self._next_revision(connection))
            row = {"model": model, "revision": after.revision, "changed_at": now}
            over = self._db.insert_over(routing, ("model",))
            connection.execute(over, row | {"document": document_of(after)})
            detail = {**change.detail, "was": change.was(before)}
            self._audit.append_within(connection, actor, change.action, model, detail)
        return after

    def _get(self, connection: Connection, model: str) -> ModelRouting:
        query = sa.select(routing).where(routing.c.model == model)
        row = connection.execute(query).mappings().first()
        return ModelRouting(model) if row is None else routing_of(dict(row))

    def _freeze(self, connection: Connection) -> Freeze | None:
        document = connection.execute(sa.select(routing_site.c.freeze)).scalar()
        return None if document is None else from_plain(Freeze, document)

    def _revision(self, connection: Connection) -> int:
        return connection.execute(sa.select(routing_site.c.revision)).scalar() or 0

    def _next_revision(self, connection: Connection) -> int:
        """Holds the site's one row until the transaction ends, so revisions are seen in their order."""
        first = self._db.insert_once(routing_site, ("id",))
        connection.execute(first, {"id": ONE_SITE, "revision": 0, "freeze": None})
        connection.execute(sa.update(routing_site).values(revision=routing_site.c.revision + 1))
        return self._revision(connection)


def _weighted(before: ModelRouting, version: str | None, weight_bp: int, actor: str) -> ModelRouting:
    """The same weight again is nobody's new decision. The share of a shadow is the candidate's, and goes with it."""
    if (before.version, before.weight_bp) == (version, weight_bp):
        return before
    return replace(
        before,
        version=version,
        weight_bp=weight_bp,
        mirror_bp=before.mirror_bp if before.version == version else BASIS_POINTS,
        weight_by=actor,
        weight_number=before.weight_number + 1,
    )


def _weight(routing: ModelRouting) -> dict[str, Any]:
    return {"version": routing.version, "weight_bp": routing.weight_bp}


def _pinned(key: str) -> Callable[[ModelRouting], str | None]:
    """The variant that `key` is pinned to."""

    def variant(routing: ModelRouting) -> str | None:
        pin = routing.pin_of(key)
        return None if pin is None else pin.variant

    return variant


def _pin(routing: ModelRouting, new: Pin) -> ModelRouting:
    """The same pin again is no change, whoever asks for it."""
    before = routing.pin_of(new.key)
    if before is not None and before.variant == new.variant:
        return routing
    return replace(routing, pins=(*_others(routing, new.key), new))


def _others(routing: ModelRouting, key: str) -> tuple[Pin, ...]:
    return tuple(pin for pin in routing.pins if pin.key != key)
