"""What `serinus models register --spec` and `sign` do, with everything that they import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import ModelRefused
from models.spec import ModelSpec
from models.spec_file import read_spec
from registry.client import ModelVersion, RegistryClient
from registry.digest import file_digest, tree_digest
from registry.network_file import read_example
from registry.package import MOST_DIGEST_CHARS
from registry.register import DatasetRef, FilePackage, register_model
from registry.sign_version import Missing, sign_version
from registry.signing import DIGEST_TAG, load_signing_key
from serve_apps.cli.output import Say
from serve_apps.embedded.reference_studies import reference_of_folder
from serve_apps.settings import Settings

Row = dict[str, Any]
CONTEXTS = ("training", "validation")  # what MLflow calls data; all else is for testing


@dataclass(frozen=True, slots=True)
class Files:
    """What an author gives by name on the command line."""

    spec: Path | None = None
    example: Path | None = None
    reference: Path | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a version: its card, its data as NAME=PATH, its figures as NAME=NUMBER."""

    card: Path
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def register_file(
    settings: Settings, files: Files, network: Path, evidence: Evidence, alias: str | None, say: Say
) -> Row:
    """Register the network in a file. Raises ModelRefused before anything is written, RegistryUnavailable."""
    package = _package(files, network, evidence, say)
    registry, key = RegistryClient(settings.registry_url), _key(settings)
    registry.models()  # it answers, or this fails at once: MLflow's own client would wait for minutes
    say(f"registering {package.spec.name}")
    version = register_model(package, tracking_uri=settings.registry_url, signing_key=key)
    if alias is not None:
        registry.set_alias(version.name, alias, version.version)
    return _row(version) | {"alias": alias}


def sign(settings: Settings, model: str, version: str, files: Files, say: Say) -> Row:
    """Complete and sign a version. Raises ModelRefused, UnknownModel, RegistryUnavailable."""
    missing = Missing(_spec(files.spec) if files.spec else None, _example(files.example))
    registry = RegistryClient(settings.registry_url)
    if files.reference is not None:
        if missing.spec is None:
            raise ModelRefused("a reference is fitted by the spec: give the spec, too")
        reference = reference_of_folder(files.reference, missing.spec.input, say)
        missing = Missing(missing.spec, missing.example_input, reference)
    return _row(sign_version(model, version, missing, registry=registry, key=_key(settings)))


def _key(settings: Settings) -> Ed25519PrivateKey:
    if not settings.paths.signing_key.exists():
        raise ModelRefused("the state folder has no signing key yet: `serinus up` makes it")
    return load_signing_key(settings.paths.signing_key)


def _package(files: Files, network: Path, evidence: Evidence, say: Say) -> FilePackage:
    if files.spec is None:
        raise ModelRefused("a network of your own needs a spec")
    spec, card = _spec(files.spec), _text(evidence.card).strip()
    if not card:
        raise ModelRefused(
            f"{evidence.card.name} is empty: a card says what the version is for, and what is known of it"
        )
    return FilePackage(
        spec=spec,
        card=card,
        metrics=dict(metric_of(text) for text in evidence.metrics),
        datasets=tuple(dataset_of(text) for text in evidence.datasets),
        reference=reference_of_folder(files.reference, spec.input, say) if files.reference else None,
        network=network,
        example_input=_example(files.example),
    )


def _spec(path: Path) -> ModelSpec:
    return read_spec(_text(path), path.name)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise ModelRefused(f"{path.name} is no UTF-8 text") from None


def _example(path: Path | None) -> Any:
    return None if path is None else read_example(path)


def metric_of(text: str) -> tuple[str, float]:
    """`NAME=NUMBER`; a name `DATASET/…` ties the metric to that dataset. Raises ModelRefused."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise ModelRefused(f"--metric {text}: it is NAME=NUMBER") from None


def dataset_of(text: str) -> DatasetRef:
    """`NAME=PATH` of a file or folder, known by the digest of what lies there. Raises ModelRefused."""
    name, _, place = text.partition("=")
    path = Path(place)
    if not name or not place or not path.exists():
        raise ModelRefused(f"--dataset {text}: it is NAME=PATH of a file or folder that exists")
    digest = file_digest(path) if path.is_file() else tree_digest(path).removeprefix("sha256:")
    context = next((word for word in CONTEXTS if word in name), "testing")
    return DatasetRef(name, digest[:MOST_DIGEST_CHARS], path.name, context)


def _row(version: ModelVersion) -> Row:
    return {"model": version.name, "version": version.version, "digest": version.tags.get(DIGEST_TAG)}
