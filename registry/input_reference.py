"""The input check's reference as a file of the artifact: signed with the rest, and read with as little trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from core.errors import ModelRefused
from models.input_check.descriptor import kind_for
from models.input_check.reference import Reference, reference_from_json, reference_to_json
from models.spec import InputSpec

FOLDER: Final = "input_check"
FILE: Final = "reference.json"
MOST_BYTES: Final = (
    4 << 20
)  # a reference of sixty measures and a thousand held-out studies has a fiftieth of it


def write_reference(artifact: Path, reference: Reference) -> None:
    """Put the reference into the artifact."""
    folder = artifact / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(reference_to_json(reference)))


def has_reference(artifact: Path) -> bool:
    return (artifact / FOLDER / FILE).is_file()


def read_reference(artifact: Path, spec: InputSpec) -> Reference | None:
    """None for a version without one. Raises ModelRefused when it cannot be read, or is of another kind of input."""
    if not has_reference(artifact):
        return None
    path = artifact / FOLDER / FILE
    if path.stat().st_size > MOST_BYTES:
        raise ModelRefused("the version's input reference is larger than any that is one")
    try:
        plain = json.loads(path.read_bytes())
    except ValueError:
        raise ModelRefused("the version's input reference is no JSON document") from None
    reference = reference_from_json(plain)
    require_kind(reference, spec)
    return reference


def require_kind(reference: Reference, spec: InputSpec) -> None:
    """Raises ModelRefused for a reference that was fitted to something else than the version reads."""
    if reference.kind is not kind_for(spec):
        raise ModelRefused("the version's input reference is of another kind of input than the version reads")
