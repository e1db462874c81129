"""What of a site goes into a backup, and what lies elsewhere and has to be backed up there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from registry.server import ServerFiles
from serve_apps.embedded.state_archive import Contents, NoBackup, StateFiles, back_up, restore
from serve_apps.settings import Settings


@dataclass(frozen=True, slots=True)
class SiteBackup:
    """What a backup holds, and in plain words what it does not."""

    contents: Contents
    elsewhere: tuple[str, ...]


def back_up_site(settings: Settings, file: Path) -> SiteBackup:
    """Keys, ledger, registry, inbox and reports as one file. Raises NoBackup."""
    paths = settings.paths
    if not paths.keys.is_dir():
        raise NoBackup(f"{paths.root} is no state folder: `serinus up` makes one")
    return SiteBackup(back_up(paths.root, _kept(settings), file), elsewhere(settings))


def restore_site(settings: Settings, file: Path) -> SiteBackup:
    """The state folder as it was, for `serinus up`; what lies elsewhere is restored there. Raises NoBackup."""
    return SiteBackup(restore(file, settings.paths.root), elsewhere(settings))


def elsewhere(settings: Settings) -> tuple[str, ...]:
    """What the site keeps outside of the state folder."""
    ledger = "the ledger is a database of the site's own: dump it (pg_dump) before each `serinus backup`"
    registry = "the registry is an MLflow of the site's own: back it up there"
    return (ledger,) * (settings.ledger_url is not None) + (registry,) * (settings.mlflow_url is not None)


def _kept(settings: Settings) -> StateFiles:
    """Caches, logs, samples and what belongs to running processes are made again.

    The audit's anchor names a row of the ledger, so it is copied first. The ledger comes before the inbox and the
    reports: what its rows name is on disk before they are written.
    """
    paths, mlflow = settings.paths, ServerFiles(settings.paths.mlflow)
    databases = (paths.ledger, mlflow.database)
    others = (paths.keys, mlflow.webhook_key, mlflow.migrated, mlflow.artifacts, paths.inbox, paths.reports)
    anchor = _within(paths.root, (paths.audit_anchor,))
    return StateFiles(anchor, _within(paths.root, databases), _within(paths.root, others))


def _within(root: Path, paths: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(path.relative_to(root).as_posix() for path in paths)
