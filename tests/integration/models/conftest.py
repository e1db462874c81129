"""The published weights, fetched and converted once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.zoo.demo import fetch_weights
from models.zoo.packages import Package, fetch, read_member

NILEARN = Package(
    name="nilearn",
    version="0.14.1",
    filename="nilearn-0.14.1-py3-none-any.whl",
    sha256="725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
    licence="BSD-3-Clause",
)
T1 = "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `build` loads from."""
    folder = tmp_path_factory.mktemp("weights")
    said: list[str] = []
    fetch_weights(folder / "cache", folder / "out", said.append)
    fetch_weights(folder / "cache", folder / "out", said.append)  # again: nothing to do
    assert said[:2] == said[2:]
    return folder / "out"


@pytest.fixture(scope="session")
def icbm152(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ICBM152 average T1 (nilearn, BSD), as NIfTI."""
    folder = tmp_path_factory.mktemp("icbm152")
    target = folder / "t1.nii.gz"
    target.write_bytes(read_member(fetch(NILEARN, folder), T1))
    return target
