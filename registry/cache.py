"""The node's own copy of each model version: kept by digest, checked at every load, there when MLflow is not.

    root/sha256-<hex>/            an artifact, moved here whole
    root/sha256-<hex>.part/       one on its way, resumed by the next try
    root/versions/<name>@<v>.json what the registry said of a version: tags, and with them digest and signature
    root/quarantine/…             an entry whose bytes had changed

The files on disk are believed no more than the network: digest and signature decide, each time.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from filelock import FileLock

from core.atomic_write import atomic_write
from core.errors import ModelRefused, RegistryUnavailable, UnknownModel
from models.spec import ModelSpec, spec_from_json
from registry.admission import AdmittedArtifact, admit, require_name
from registry.client import ModelVersion, RegistryClient
from registry.digest import tree_digest
from registry.download import download_tree
from registry.input_reference import has_reference
from registry.signing import DIGEST_TAG, SIGNATURE_TAG, verify

logger = logging.getLogger("serinus.registry")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A verified and admitted artifact on this node. `tags` are as the registry last told them.

    `live` says whether the registry answered this time, `has_reference` whether the version can tell a study that it
    does not know.
    """

    name: str
    version: str
    digest: str
    artifact: AdmittedArtifact
    spec: ModelSpec
    tags: Mapping[str, str]
    live: bool
    has_reference: bool = False

    @property
    def path(self) -> Path:
        return self.artifact.root


class NodeCache:
    """Model versions on this node's disk, shared by all its processes."""

    def __init__(self, root: Path, client: RegistryClient, verify_key: Ed25519PublicKey) -> None:
        self._root = root
        self._client = client
        self._verify_key = verify_key
        (root / "versions").mkdir(parents=True, exist_ok=True)

    def fetch(self, name: str, version: str) -> CachedModel:
        """The version's files, verified now, downloaded if needed.

        Raises ModelRefused for what has too long a name, was not signed, was changed or could run code;
        RegistryUnavailable or UnknownModel when the registry cannot say and this node never had it.
        """
        require_name(name)
        entry, live = self._ask(name, version)
        digest = self._signed_digest(entry)
        with self._locked(digest):
            root = self._verified(digest) or self._downloaded(digest, entry)
            artifact = admit(root)
        spec = spec_from_json(artifact.spec)
        self._remember(entry)
        return CachedModel(
            name, version, digest, artifact, spec, entry.tags, live, has_reference(artifact.root)
        )

    def _ask(self, name: str, version: str) -> tuple[ModelVersion, bool]:
        """What the registry says of a version, or said last: a deleted version may still be serving."""
        try:
            return self._client.version(name, version), True
        except (RegistryUnavailable, UnknownModel):
            entry = self._remembered(name, version)
            if entry is None:
                raise
            logger.info("registry.from_cache", extra={"model": name, "version": version})
            return entry, False

    def _signed_digest(self, entry: ModelVersion) -> str:
        digest, signature = entry.tags.get(DIGEST_TAG), entry.tags.get(SIGNATURE_TAG)
        if not digest or not signature:
            raise ModelRefused("the version is not signed: it has no digest and signature tag")
        verify(self._verify_key, entry.name, digest, signature)
        return digest

    def _verified(self, digest: str) -> Path | None:
        """The cached artifact, None if there is none. A changed one is put away and refused."""
        root = self._folder(digest)
        if not root.is_dir():
            return None
        if not _has_digest(root, digest):
            self._quarantine(root)
            raise ModelRefused("a cached file of the version was changed: its digest is not the signed one")
        return root

    def _downloaded(self, digest: str, entry: ModelVersion) -> Path:
        """Fetch into a `.part` folder, compare, move. What arrived wrong is put away, not kept to resume."""
        part = self._folder(digest).with_suffix(".part")
        download_tree(self._client, entry, part)
        if not _has_digest(part, digest):
            self._quarantine(part)
            raise ModelRefused(
                "a file of the version was changed in MLflow: its digest is not the signed one"
            )
        part.replace(self._folder(digest))
        return self._folder(digest)

    def _quarantine(self, root: Path) -> None:
        """Keep one changed copy per artifact for whoever looks into it; the newest one counts."""
        away = self._root / "quarantine" / root.name
        shutil.rmtree(away, ignore_errors=True)
        away.parent.mkdir(exist_ok=True)
        root.replace(away)
        logger.warning("registry.quarantined", extra={"entry": root.name})

    def _folder(self, digest: str) -> Path:
        """Signed digests only, so the name is `sha256-` and 64 hex digits."""
        return self._root / digest.replace(":", "-")

    def _locked(self, digest: str) -> FileLock:
        return FileLock(self._folder(digest).with_suffix(".lock"))

    def _record(self, name: str, version: str) -> Path:
        return self._root / "versions" / f"{quote(name, safe='')}@{quote(version, safe='')}.json"

    def _remember(self, entry: ModelVersion) -> None:
        if self._remembered(entry.name, entry.version) != entry:
            atomic_write(self._record(entry.name, entry.version), json.dumps(asdict(entry)).encode())

    def _remembered(self, name: str, version: str) -> ModelVersion | None:
        try:
            return ModelVersion(**json.loads(self._record(name, version).read_bytes()))
        except FileNotFoundError:
            return None


def _has_digest(root: Path, digest: str) -> bool:
    """A link or special file counts as a change."""
    try:
        return tree_digest(root) == digest
    except ModelRefused:
        return False
