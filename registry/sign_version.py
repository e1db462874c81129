"""Vouch for a version that somebody logged with MLflow's own `log_model`: complete it, prove it, sign it.

What a replica asks for and MLflow does not know (the spec, the golden pair, the reference) is added to the version's
files; the files of the network stay as they are. Nothing is written before the version has passed what a replica
checks.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import Tensor

from core.errors import ModelRefused
from models.input_check.reference import Reference
from models.spec import ModelSpec, spec_from_json
from registry.admission import GOLDEN, NO_SPEC, admit, require_name
from registry.client import ModelVersion, RegistryClient
from registry.digest import file_digest, files_of, tree_digest
from registry.download import download_tree
from registry.input_reference import read_reference
from registry.network_file import complete, write_spec
from registry.package import RegulatoryStatus, page_tags
from registry.register import validate
from registry.signing import DIGEST_TAG, SIGNATURE_TAG, sign

STATUS_TAG = "regulatory.status"


@dataclass(frozen=True, slots=True)
class Missing:
    """What the version's files lack and its author gives now; `spec` may be None where the metadata have one."""

    spec: ModelSpec | None = None
    example_input: Tensor | None = None
    reference: Reference | None = None


def sign_version(
    name: str, number: str, missing: Missing, *, registry: RegistryClient, key: Ed25519PrivateKey
) -> ModelVersion:
    """The version, signed. Raises ModelRefused for one that a replica would refuse, or that is signed already."""
    require_name(name)
    version = registry.version(name, number)
    if version.tags.get(SIGNATURE_TAG):
        raise ModelRefused("the version is signed already; register another one for other files")
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "artifact"
        download_tree(registry, version, artifact)
        before = _digests(artifact)
        spec = _spec(artifact, name, missing.spec)
        shutil.rmtree(artifact / GOLDEN, ignore_errors=True)  # of a signing that was broken off
        complete(admit(artifact), spec, missing.example_input, missing.reference)
        validate(artifact, spec)
        reference = read_reference(artifact, spec.input)
        _bring(registry, version, artifact, before)
        digest = _digest_in_registry(registry, version, Path(folder) / "back")
        if digest != tree_digest(artifact):
            raise ModelRefused("MLflow gives back other files than were uploaded")
    tags = page_tags(spec, reference)
    if STATUS_TAG not in version.tags:
        tags[STATUS_TAG] = RegulatoryStatus.RESEARCH
    for tag, value in (tags | {DIGEST_TAG: digest, SIGNATURE_TAG: sign(key, name, digest)}).items():
        registry.set_tag(name, number, tag, value)
    return registry.version(name, number)


def _spec(artifact: Path, name: str, given: ModelSpec | None) -> ModelSpec:
    """The spec that is given, put into the files, or the one that lies there. Raises ModelRefused."""
    try:
        plain = admit(artifact).spec
    except ModelRefused as error:
        if error.detail != NO_SPEC:
            raise
        if given is None:
            raise ModelRefused("the version brings no spec in its metadata: give it as a file") from None
    if given is not None:
        write_spec(artifact, given)
    spec = given or spec_from_json(plain)
    if spec.name != name:
        raise ModelRefused(f"the spec is of a model {spec.name}, and the version is one of {name}")
    return spec


def _digests(artifact: Path) -> dict[str, str]:
    return {path.relative_to(artifact).as_posix(): file_digest(path) for path in files_of(artifact)}


def _bring(registry: RegistryClient, version: ModelVersion, artifact: Path, before: dict[str, str]) -> None:
    """Upload what is new or changed; the MLmodel file, which names the rest, comes last."""
    root = registry.artifact_root(version)
    changed = [path for path, digest in _digests(artifact).items() if before.get(path) != digest]
    for path in sorted(changed, key=lambda path: (path == "MLmodel", path)):
        registry.upload(root, path, (artifact / path).read_bytes())


def _digest_in_registry(registry: RegistryClient, version: ModelVersion, back: Path) -> str:
    download_tree(registry, version, back)
    return tree_digest(back)
