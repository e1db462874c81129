"""Ground-truth sets, each version of which is written once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.truth import TruthLabel, TruthSource
from canary.truth_set import SetStudy, SetTruth, counts_of, digest_of_set
from core.errors import InvalidField, TruthSetInUse, TruthSetNotFound
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.pairing import note_change
from ledger.tables import truth_set_runs, truth_set_schedules, truth_set_studies, truth_sets
from ledger.truth_set_records import StoredSet

SCHEDULED: Final = truth_set_schedules.c.every_s


class TruthSets:
    """Registers, lists and schedules sets. The audit names their content by its digest."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def register(
        self, name: str, model: str, studies: Sequence[SetStudy], *, actor: str
    ) -> tuple[StoredSet, bool]:
        """Write the next version of the set, unless its newest one is the same; whether it is new.

        Raises InvalidField for a set of another model, and for one without a study.
        """
        if not studies:
            raise InvalidField("a set has one study or more", "/lines")
        require_fits(truth_sets, {"name": name, "model": model, "actor": actor})
        digest = digest_of_set(model, studies)
        with self._db.write() as connection:
            self._db.serialise(connection, f"truth set {name}")
            last = self._found(connection, name)
            if last is not None and last.model != model:
                raise InvalidField(f"the set is of the model {last.model}", "/model")
            if last is not None and last.digest == digest:
                return last, False
            key = {
                "name": name,
                "version": 1 + (_last_run(connection, name) if last is None else last.version),
            }
            at = self._db.now(connection)
            about = {"model": model, "digest": digest, "studies": len(studies), "counts": counts_of(studies)}
            connection.execute(sa.insert(truth_sets).values(**key, at=at, actor=actor, **about))
            connection.execute(sa.insert(truth_set_studies), [key | _row(study) for study in studies])
            detail = {**key, "digest": digest, "studies": len(studies)}
            self._audit.append_within(connection, actor, "truth-set.register", name, detail)
            return self._one(connection, name), True

    def schedule(self, name: str, every_s: int | None, *, actor: str) -> StoredSet:
        """Have the set run by itself so often, or never. Raises TruthSetNotFound."""
        with self._db.write() as connection:
            self._one(connection, name)
            over = self._db.insert_over(truth_set_schedules, ("name",))
            connection.execute(over, {"name": name, "every_s": every_s})
            self._audit.append_within(connection, actor, "truth-set.schedule", name, {"every_s": every_s})
            return self._one(connection, name)

    def delete(self, name: str, *, actor: str) -> StoredSet:
        """Forget all versions of the set, with every study that they name; what came of its runs stays.

        Returns what was its newest version. Raises TruthSetNotFound, and TruthSetInUse while a run is under way.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"truth set {name}")
            found = self._one(connection, name)
            is_open = (truth_set_runs.c.name == name) & truth_set_runs.c.ended_at.is_(None)
            if connection.execute(sa.select(truth_set_runs.c.id).where(is_open).limit(1)).first():
                raise TruthSetInUse("a run of the set is under way")
            for table in (truth_set_studies, truth_sets, truth_set_schedules):
                connection.execute(sa.delete(table).where(table.c.name == name))
            at = self._db.now(connection)
            note_change(self._db, connection, found.model, at, rewrites=True)  # its pairs are no more
            detail = {"version": found.version, "digest": found.digest, "studies": found.studies}
            self._audit.append_within(connection, actor, "truth-set.delete", name, detail)
            return found

    def newest(self) -> tuple[StoredSet, ...]:
        """The newest version of every set, by name."""
        with self._db.read() as connection:
            rows = connection.execute(_NEWEST.order_by(truth_sets.c.name)).mappings()
            return tuple(_stored(row) for row in rows)

    def get(self, name: str) -> StoredSet:
        """The newest version of a set. Raises TruthSetNotFound."""
        with self._db.read() as connection:
            return self._one(connection, name)

    def studies(self, name: str, version: int) -> tuple[SetStudy, ...]:
        """The studies of a version, in their order."""
        with self._db.read() as connection:
            return set_studies(connection, name, version)

    def _one(self, connection: Connection, name: str) -> StoredSet:
        found = self._found(connection, name)
        if found is None:
            raise TruthSetNotFound("no ground-truth set has that name")
        return found

    def _found(self, connection: Connection, name: str) -> StoredSet | None:
        row = connection.execute(_NEWEST.where(truth_sets.c.name == name)).mappings().first()
        return None if row is None else _stored(row)


def _last_run(connection: Connection, name: str) -> int:
    """The last version of a set that was read, though it may be deleted: its number is not given again."""
    last = sa.select(sa.func.max(truth_set_runs.c.set_version)).where(truth_set_runs.c.name == name)
    return int(connection.execute(last).scalar() or 0)


def set_studies(connection: Connection, name: str, version: int) -> tuple[SetStudy, ...]:
    """The studies of a version of a set, in their order."""
    its = (truth_set_studies.c.name == name) & (truth_set_studies.c.version == version)
    query = sa.select(truth_set_studies).where(its).order_by(truth_set_studies.c.number)
    return tuple(_study(row) for row in connection.execute(query).mappings())


_later = truth_sets.alias("later")
_NEWEST: Final = (
    sa.select(truth_sets, SCHEDULED)
    .outerjoin(truth_set_schedules, truth_set_schedules.c.name == truth_sets.c.name)
    .where(
        ~sa.exists().where((_later.c.name == truth_sets.c.name) & (_later.c.version > truth_sets.c.version))
    )
)


def _stored(row: RowMapping) -> StoredSet:
    return StoredSet(**{name: row[name] for name in StoredSet.__dataclass_fields__})


def _row(study: SetStudy) -> dict[str, Any]:
    return {
        "number": study.number,
        "source": study.study_source,
        "study_uid": study.study_uid,
        "series_uid": study.series_uid,
        "truths": {
            finding: {"label": truth.label.value, "source": truth.source.value, "reader": truth.reader}
            for finding, truth in study.truths.items()
        },
    }


def _study(row: RowMapping) -> SetStudy:
    truths = {
        finding: SetTruth(TruthLabel(told["label"]), TruthSource(told["source"]), told["reader"])
        for finding, told in sorted(row["truths"].items())
    }
    return SetStudy(row["number"], row["source"], row["study_uid"], row["series_uid"], truths)
