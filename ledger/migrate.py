"""Brings a ledger of an older revision to ours: one process alone, in one transaction, with all its rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection, make_url

from ledger.audit import Audit
from ledger.database import Database, told
from ledger.engines import engine_of, serialise
from ledger.revision import SCHEMA, require_known, revision_of
from ledger.tables import REVISION

MIGRATIONS: Final = Path(__file__).parent / "migrations"
MIGRATE_S: Final = 600.0  # for a statement, or for another process that migrates


@dataclass(frozen=True, slots=True)
class Migrated:
    """From which revision to which."""

    before: str
    after: str


def migrate(url: str) -> Migrated | None:
    """Migrate the ledger at `url` and write that into its audit; None when there is no older ledger.

    Processes that have it open may go on meanwhile, if the revisions only add (`ledger/migrations/README.md`).
    Raises WrongSchema when it is too old or newer than this Serinus, and LedgerUnavailable.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return None
    engine = engine_of(address, MIGRATE_S)
    try:
        with told(), engine.begin() as connection:  # SQLite has one writer
            serialise(connection, SCHEMA)
            before = revision_of(connection)
            if before in (None, REVISION):
                return None
            migrated = Migrated(require_known(before), REVISION)
            _upgrade(connection)
    finally:
        engine.dispose()
    _note(url, migrated)
    return migrated


def _upgrade(connection: Connection, to: str = REVISION) -> None:
    """Run what lies between its revision and another one, ours if it is not said.

    Alembic is imported here, since few processes migrate.
    """
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    command.upgrade(config, to)


def _note(url: str, migrated: Migrated) -> None:
    database = Database(url)
    detail = {"from": migrated.before, "to": migrated.after}
    Audit(database).append("serinus", "migrate-ledger", "ledger", detail)
    database.close()
