"""`migrate`, `backup`, `restore`, `purge`, `anchor-audit`: what an administrator does to a site's state."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from core.errors import SerinusError
from serve_apps.cli.output import AsJson, fail, out, print_json
from serve_apps.settings import load_settings

if TYPE_CHECKING:
    from serve_apps.embedded.site_backup import SiteBackup

NAMES: Final = {
    "documents": "documents",
    "jobs": "jobs",
    "shadows": "ended shadows",
    "evidence": "rows of evidence",
    "inbox": "studies in the inbox",
}


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


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)], as_json: AsJson = False
) -> None:
    """Write the state folder to one file, also while the stack runs. It holds keys and patient data."""
    from serve_apps.embedded.site_backup import back_up_site
    from serve_apps.embedded.state_archive import NoBackup

    try:
        made = back_up_site(load_settings(), file)
    except NoBackup as error:
        fail(str(error), as_json, "no-backup")
    _tell(made, f"{file} holds", as_json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Make the state folder from a backup; the stack is down, and the folder empty or not there. Then: `up`."""
    from serve_apps.embedded.site_backup import restore_site
    from serve_apps.embedded.state_archive import NoBackup

    settings = load_settings()
    try:
        made = restore_site(settings, file)
    except NoBackup as error:
        fail(str(error), as_json, "no-backup")
    _tell(made, f"{settings.paths.root} has", as_json)


def _tell(made: SiteBackup, has: str, as_json: bool) -> None:
    at, files = made.contents.made_at, len(made.contents.files)
    if as_json:
        print_json({"made_at": at, "files": files, "elsewhere": made.elsewhere})
        return
    out.print(f"{has} {files} files as of {at:%Y-%m-%d %H:%M:%S} UTC", soft_wrap=True)
    for part in made.elsewhere:
        out.print(f"[bold yellow]not in it:[/] {part}", soft_wrap=True)


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is older than the site keeps it (`keep_…`), as the stack does each hour by itself."""
    from ledger import Ledger
    from serve_apps.application.purge import SitePurge

    settings = load_settings()
    try:
        ledger = Ledger.open(settings.ledger)
        site = SitePurge(ledger.retention, ledger.audit, settings)
        counts = site.due() if dry_run else site.purge(f"serinus/{getpass.getuser()}")
        ledger.close()
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json({"dry_run": dry_run, **counts})
        return
    told = ", ".join(f"{NAMES[name]} {number}" for name, number in counts.items() if number)
    out.print(f"{'would delete' if dry_run else 'deleted'}: {told or 'nothing'}", soft_wrap=True)


def anchor_audit(
    reason: Annotated[str, typer.Argument(help="Stands in the audit.")], as_json: AsJson = False
) -> None:
    """Anchor the audit anew at its newest row, after its anchor was lost or rows were; the audit tells of it."""
    from ledger import Ledger
    from serve_apps.application.anchored_audit import audit_anchor

    settings = load_settings()
    try:
        ledger = Ledger.open(settings.ledger)
        look = audit_anchor(settings, ledger).renew(f"serinus/{getpass.getuser()}", reason)
        ledger.close()
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json({"problem": look.problem, "first_broken": look.first_broken})
    else:
        out.print(f"anchored anew; before: {look.problem or 'the chain was whole'}", soft_wrap=True)
