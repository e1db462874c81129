"""`migrate`: what an administrator does to the ledger and the state folder."""

from __future__ import annotations

from core.errors import SerinusError
from serve_apps.cli.output import AsJson, fail, out, print_json
from serve_apps.settings import load_settings


def migrate(as_json: AsJson = False) -> None:
    """Bring the ledger of an older Serinus to this one's schema, with all its rows. `up` does it by itself."""
    from ledger.migrate import migrate as migrate_ledger
    from ledger.revision import WrongSchema

    try:
        migrated = migrate_ledger(load_settings().ledger)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    except WrongSchema as error:
        fail(str(error), as_json, "wrong-schema")
    if as_json:
        print_json({"migrated": migrated and {"from": migrated.before, "to": migrated.after}})
    elif migrated is None:
        out.print("nothing to migrate")
    else:
        out.print(f"migrated the ledger from {migrated.before} to {migrated.after}")
