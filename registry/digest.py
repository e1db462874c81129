"""One sha256 for a whole artifact: what is signed at registration and compared at every load.

The digest is taken over `relative/path NUL sha256 LF`, sorted by path. MLflow writes `registered_model_meta`
(name and version) into what it downloads; that file is no part of the artifact (docs/adr/0002).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from core.errors import ModelRefused

NOT_PART_OF_IT = frozenset({"registered_model_meta"})


def tree_digest(root: Path) -> str:
    """`sha256:…` of the files under `root`; raises ModelRefused for anything but plain files and folders."""
    tree = hashlib.sha256()
    for relative, path in sorted((path.relative_to(root).as_posix(), path) for path in files_of(root)):
        if relative not in NOT_PART_OF_IT:
            tree.update(f"{relative}\0{file_digest(path)}\n".encode())
    return f"sha256:{tree.hexdigest()}"


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(root: Path) -> Iterator[Path]:
    """Every file under `root`. A link could lead out of the tree, so the tree may have none."""
    for path in root.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelRefused("the artifact holds a link or a special file; only plain files are accepted")
        if path.is_file():
            yield path
