"""What an artifact may be before anything in it is opened by torch: decided from its files alone.

Only a network in a format without code is let in: `torch.export` (pt2) or ONNX, packed by MLflow. Every
refusal is a ModelRefused with a sentence of its own. The signature says *who* vouched for these bytes; this
says that even a trusted author cannot ship code by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from core.errors import ModelRefused
from registry.digest import files_of
from registry.pt2_archive import check_pt2

SPEC_KEY = "serinus"
NO_SPEC = f"the artifact's metadata has no '{SPEC_KEY}': what it reads and says is unknown"
GOLDEN = "golden"
MAX_NAME = 64
PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".pth", ".pt", ".ckpt", ".joblib", ".dill", ".bin"})
PLAIN_SUFFIXES = frozenset({"", ".yaml", ".txt", ".json", ".md", ".npy", ".pt2", ".onnx", ".data"})
PICKLE_STARTS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


class ArtifactFormat(StrEnum):
    """The two formats that hold a network and no Python. The value is MLflow's name of the flavor."""

    PT2 = "pytorch"
    ONNX = "onnx"


LOADERS: Mapping[str, ArtifactFormat] = {
    "mlflow.pytorch": ArtifactFormat.PT2,
    "mlflow.onnx": ArtifactFormat.ONNX,
}


@dataclass(frozen=True, slots=True)
class AdmittedArtifact:
    """A folder that may be loaded. `spec` is the metadata under `serinus`, as it was registered."""

    root: Path
    format: ArtifactFormat
    network: Path
    spec: Mapping[str, Any]


def require_name(name: str) -> None:
    """Raises ModelRefused for a name that neither the API nor the ledger can keep; MLflow takes 256 characters."""
    if len(name) > MAX_NAME:
        raise ModelRefused(f"the model's name has {len(name)} characters, and at most {MAX_NAME} can be kept")


def admit(root: Path) -> AdmittedArtifact:
    """Let an artifact in, or raise ModelRefused with the one thing that is wrong with it."""
    for path in files_of(root):
        _check_file(path, path.relative_to(root))
    description = _read_description(root / "MLmodel")
    flavors = _mapping(description.get("flavors"), "the MLmodel file names no flavors")
    _check_loader(flavors)
    _check_no_code(flavors)
    kind = _format_of(flavors)
    network = _network(root, kind, flavors)
    if kind is ArtifactFormat.PT2:
        check_pt2(network)
    return AdmittedArtifact(root, kind, network, _spec(description))


def _check_file(path: Path, relative: Path) -> None:
    if relative.parts[0] == "code" or path.suffix == ".py":
        raise ModelRefused("the artifact ships Python code (code/); a version may bring only its network")
    if path.suffix in PICKLE_SUFFIXES or _starts_like_pickle(path):
        raise ModelRefused(
            "the artifact holds a pickle, which runs code when loaded; register it as pt2 or ONNX"
        )
    if path.suffix not in PLAIN_SUFFIXES:
        raise ModelRefused(f"the artifact holds a file of an unknown kind ({path.suffix})")


def _starts_like_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in PICKLE_STARTS and path.suffix not in {".onnx", ".data"}


def _read_description(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(yaml.safe_load(path.read_text()), "the MLmodel file is not a mapping")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelRefused("the artifact has no readable MLmodel file") from error


def _check_loader(flavors: Mapping[str, Any]) -> None:
    loader = (flavors.get("python_function") or {}).get("loader_module")
    if loader is not None and loader not in LOADERS:
        raise ModelRefused(f"the artifact asks for a foreign loader_module ({str(loader)[:80]})")


def _check_no_code(flavors: Mapping[str, Any]) -> None:
    for name, flavor in flavors.items():
        if _mapping(flavor, f"flavor {name} is not a mapping").get("code"):
            raise ModelRefused(
                f"flavor {name} ships Python code (code/); a version may bring only its network"
            )


def _format_of(flavors: Mapping[str, Any]) -> ArtifactFormat:
    extra = set(flavors) - {"python_function"} - set(ArtifactFormat)
    formats = [kind for kind in ArtifactFormat if kind in flavors]
    if extra or len(formats) != 1:
        raise ModelRefused(
            f"the artifact is neither pt2 nor ONNX alone (flavors: {', '.join(sorted(flavors))})"
        )
    return formats[0]


def _network(root: Path, kind: ArtifactFormat, flavors: Mapping[str, Any]) -> Path:
    if kind is ArtifactFormat.PT2:
        network = _inside(root, f"{flavors[kind].get('model_data', 'data')}/model.pt2")
    else:
        network = _inside(root, str(flavors[kind].get("data", "model.onnx")))
    if not network.is_file():
        raise ModelRefused(f"the artifact has no {kind} network in pt2 or ONNX format where MLmodel says")
    return network


def _inside(root: Path, relative: str) -> Path:
    """`root / relative`, which may not leave `root`."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\\" in relative:
        raise ModelRefused("a path in the artifact leads out of it")
    return root / path


def _spec(description: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = description.get("metadata") or {}
    return _mapping(metadata.get(SPEC_KEY), NO_SPEC)


def _mapping(value: object, otherwise: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ModelRefused(otherwise)
    return value
