"""Bring an artifact here file by file; what a broken connection left behind is continued, not begun again."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from core.errors import ModelRefused, RegistryUnavailable
from registry.client import ArtifactFile, ModelVersion, RegistryClient
from registry.digest import NOT_PART_OF_IT, files_of

MAX_FILES = 200
MAX_BYTES = 16 << 30


def download_tree(client: RegistryClient, version: ModelVersion, into: Path) -> None:
    """Make `into` hold the version's files and no others. Only sizes are compared here: digests come after.

    Raises RegistryUnavailable when the connection breaks (a later call resumes) and ModelRefused for paths that
    lead out of the folder or for a tree that is too large to be a model.
    """
    root = client.artifact_root(version)
    files = tuple(file for file in client.files(root) if file.path not in NOT_PART_OF_IT)
    if len(files) > MAX_FILES or sum(file.size for file in files) > MAX_BYTES:
        raise ModelRefused("the version's files are too many or too large")
    targets = {target_of(into, file): file for file in files}
    into.mkdir(parents=True, exist_ok=True)
    for stray in set(files_of(into)) - targets.keys():
        stray.unlink()
    for target, file in targets.items():
        download_file(client, root, file, target)


def target_of(into: Path, file: ArtifactFile) -> Path:
    """Where a listed file goes; the server's path may not lead out of the folder."""
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path or "\0" in file.path:
        raise ModelRefused("MLflow lists a file whose path leads out of the artifact")
    return into / path


def download_file(client: RegistryClient, root: str, file: ArtifactFile, target: Path) -> None:
    """Append what is missing; a file of the right size is left, a longer one is begun anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    have = target.stat().st_size if target.exists() else 0
    if have == file.size and target.exists():
        return
    offset = have if have < file.size else 0
    with client.download(root, file.path, offset) as (resumed, chunks), target.open("ab") as sink:
        if not resumed:
            sink.truncate(0)
        for chunk in chunks:
            sink.write(chunk)
    if target.stat().st_size != file.size:
        raise RegistryUnavailable("MLflow sent another number of bytes than it listed")
