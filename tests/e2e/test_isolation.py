"""A version that hangs, leaks or sleeps is its own affair: callers get their answers in time, from the champion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from torch import Tensor, nn

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from models.zoo.ich import versions as ich
from registry.client import RegistryClient
from registry.package import Package
from registry.register import register_model
from registry.signing import load_signing_key
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
PATIENCE_S = 0.8


class Hanging(nn.Module):
    """Version 1, but every forward takes many times the site's patience."""

    def __init__(self, inner: nn.Module, rounds: int = 60) -> None:
        super().__init__()
        self.inner = inner
        self.rounds = rounds
        self.register_buffer("work", torch.full((1024, 1024), 1e-3))

    def forward(self, items: Tensor) -> Tensor:
        found: Tensor = self.inner(items)
        state = self.work
        for _ in range(self.rounds):
            state = state @ self.work
        return found + 0.0 * state.mean()


@pytest.fixture(scope="module")
def site(new_stack: NewStack) -> LiveStack:
    return new_stack("isolation", environment={"SERINUS_CANARY_TIMEOUT_S": str(PATIENCE_S)})


@pytest.fixture(scope="module")
def registry(site: LiveStack) -> RegistryClient:
    return RegistryClient(site.settings.registry_url)


def read(site: LiveStack, tmp_path: Path, name: str) -> dict[str, Any]:
    """The result of a fresh study in a folder, read by whoever routing picks."""
    folder = tmp_path / name
    folder.mkdir()
    for index, dataset in enumerate(make_ct_study(seed=name, slices=10, size=64)):
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return dict(site.run("submit", str(folder), "--model", MODEL)["result"])


def state_of(site: LiveStack, version: str) -> str | None:
    with site.http() as http:
        rows = http.get("/v1/models").json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)


def be_canary(site: LiveStack, registry: RegistryClient, version: str, percent: str) -> None:
    registry.set_alias(MODEL, "challenger", version)
    eventually(lambda: state_of(site, version) == "warm" or None, 120, f"version {version} to be warm")
    site.run("route", "set-weight", MODEL, version, percent)


def test_a_canary_that_hangs_costs_its_studies_the_sites_patience_and_no_more(
    site: LiveStack, registry: RegistryClient, tmp_path: Path
) -> None:
    inner, spec = ich.build(1)
    package = Package(Hanging(inner), spec, ich.example_input(1), card="# Hangs\n\nMade by a test.")
    version = register_model(
        package,
        tracking_uri=site.settings.registry_url,
        signing_key=load_signing_key(site.settings.paths.signing_key),
    )
    be_canary(site, registry, version.version, "100")
    started = time.monotonic()
    results = [read(site, tmp_path, f"hang-{n}") for n in range(3)]
    assert {r["model"]["version"] for r in results} == {"1"}
    assert {f["code"] for r in results for f in r["routing"]["failed"]} == {"deadline-exceeded"}
    assert time.monotonic() - started < 3 * 30, "and nobody waited for the canary's whole forward"
    registry.delete_alias(MODEL, "challenger")


def test_a_version_that_needs_more_memory_than_it_may_never_gets_a_study(
    site: LiveStack, registry: RegistryClient, tmp_path: Path
) -> None:
    registry.set_tag(MODEL, "2", "serinus.resources.memory_bytes", str(32 << 20))
    registry.set_alias(MODEL, "challenger", "2")
    site.run("route", "set-weight", MODEL, "2", "100", "--in-advance")
    eventually(lambda: state_of(site, "2") == "failed" or None, 180, "version 2 to be given up")
    assert {read(site, tmp_path, f"leak-{n}")["model"]["version"] for n in range(2)} == {"1"}
    registry.delete_tag(MODEL, "2", "serinus.resources.memory_bytes")
    eventually(
        lambda: state_of(site, "2") == "warm" or None, 180, "version 2 to be tried again without the limit"
    )
    assert read(site, tmp_path, "mended")["model"]["version"] == "2"
    registry.delete_alias(MODEL, "challenger")


def test_a_silent_version_sleeps_wakes_for_a_study_and_is_awake_before_it_answers(
    site: LiveStack, registry: RegistryClient, tmp_path: Path
) -> None:
    replica = f"ServeReplica:mv-{MODEL}-3:ModelServer"
    registry.set_tag(MODEL, "3", "serinus.resources.min_replicas", "0")
    registry.set_tag(MODEL, "3", "serinus.resources.downscale_delay_s", "1")
    registry.set_alias(MODEL, "shadow-next", "3")
    eventually(lambda: state_of(site, "3") == "asleep" or None, 120, "version 3 to fall asleep")
    eventually(lambda: not site.processes(replica) or None, 30, "its replica to go")
    assert read(site, tmp_path, "wake")["model"]["version"] == "1"
    ledger = Ledger.open(site.settings.ledger)

    def silent_readers() -> set[str] | None:
        return {each.version for each in ledger.shadows.outcomes(MODEL) if each.role == "shadow"} or None

    assert eventually(silent_readers, 90, "the silent reading") == {"3"}
    eventually(lambda: state_of(site, "3") == "asleep" or None, 120, "version 3 to fall asleep again")

    registry.set_alias(MODEL, "challenger", "3")
    site.run("route", "set-weight", MODEL, "3", "100", "--in-advance")
    eventually(lambda: canary_of(site) == "3" or None, 60, "version 3 to be given studies")
    assert site.processes(replica), "it was given studies before it was awake"
    assert read(site, tmp_path, "awake")["model"]["version"] == "3"


def canary_of(site: LiveStack) -> str | None:
    try:
        rows = site.run("route", "get")["models"]
    except (AssertionError, httpx.HTTPError):
        return None
    canary = next(row["canary"] for row in rows if row["model"] == MODEL)
    return None if canary is None else str(canary["version"])
