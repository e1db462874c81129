"""A version that hangs, leaks or sleeps is its own affair: callers get their answers in time, from the champion."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from registry.client import RegistryClient
from serve_apps.embedded.local_studies import study_of_folder
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
CANARY_TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def site(new_stack: NewStack) -> LiveStack:
    return new_stack("isolation", environment={"SERINUS_CANARY_TIMEOUT_S": str(CANARY_TIMEOUT_S)})


@pytest.fixture(scope="module")
def registry(site: LiveStack) -> RegistryClient:
    return RegistryClient(site.settings.registry_url)


def stored(site: LiveStack, tmp_path: Path, name: str) -> tuple[str, str]:
    """A fresh study in the site's inbox: its study UID and source."""
    folder = tmp_path / name
    folder.mkdir()
    for index, dataset in enumerate(make_ct_study(seed=name, slices=10, size=64)):
        dataset.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return study_of_folder(site.settings, folder)


def read(site: LiveStack, tmp_path: Path, name: str) -> dict[str, Any]:
    """The result of a fresh study, read by whoever routing picks."""
    study, source = stored(site, tmp_path, name)
    with site.http() as http:
        body = {"study_uid": study, "source": source, "model": MODEL}
        answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=100"})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def timed(site: LiveStack, tmp_path: Path, name: str, version: str, failed: str | None = None) -> float:
    """How long a fresh study takes, in seconds, when `version` answers it; `failed` is the canary's error."""
    started = time.monotonic()
    result = read(site, tmp_path, name)
    elapsed_s = time.monotonic() - started
    assert result["model"]["version"] == version
    assert [f["code"] for f in result["routing"]["failed"]] == ([failed] if failed else [])
    return elapsed_s


def state_of(site: LiveStack, version: str) -> str | None:
    with site.http() as http:
        rows = http.get("/v1/models").json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)


def be_canary(site: LiveStack, registry: RegistryClient, version: str, percent: str) -> None:
    registry.set_alias(MODEL, "challenger", version)
    eventually(lambda: state_of(site, version) == "warm" or None, 120, f"version {version} to be warm")
    site.run("route", "set-weight", MODEL, version, percent)


def test_a_canary_that_hangs_costs_its_studies_its_timeout_and_no_more(
    site: LiveStack, registry: RegistryClient, tmp_path: Path
) -> None:
    """The canary's process is stopped, so that it really answers nothing; the champion is timed beside it."""
    champion_s = [timed(site, tmp_path, f"before-{n}", "1") for n in range(3)]
    be_canary(site, registry, "4", "100")
    timed(site, tmp_path, "well", "4")
    (replica,) = site.processes(f"ServeReplica:mv-{MODEL}-4:ModelServer")
    os.kill(replica, signal.SIGSTOP)
    try:
        hanging_s = [timed(site, tmp_path, f"hang-{n}", "1", failed="deadline-exceeded") for n in range(3)]
    finally:
        os.kill(replica, signal.SIGKILL)
    assert min(hanging_s) > CANARY_TIMEOUT_S, "the canary did not hang"
    assert max(hanging_s) < CANARY_TIMEOUT_S + 2 * max(champion_s) + 1.0, (hanging_s, champion_s)
    registry.delete_alias(MODEL, "challenger")


def test_a_champion_that_hangs_is_replaced_and_its_studies_wait(site: LiveStack, tmp_path: Path) -> None:
    """No canary may take over, so the studies wait; none fails for good."""
    (replica,) = site.processes(f"ServeReplica:mv-{MODEL}-1:ModelServer")
    os.kill(replica, signal.SIGSTOP)
    try:
        studies = [stored(site, tmp_path, f"wait-{n}") for n in range(3)]
        jobs = [site.submit(study, source, model=MODEL) for study, source in studies]
        finished = [site.finished(job, within_s=150) for job in jobs]
    finally:
        with suppress(ProcessLookupError):
            os.kill(replica, signal.SIGKILL)
    assert {job["state"] for job in finished} == {"completed"}, finished
    assert replica not in site.processes(f"ServeReplica:mv-{MODEL}-1:ModelServer")


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


def test_a_shadow_sleeps_wakes_for_a_study_and_is_awake_before_it_answers(
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

    def shadow_versions() -> set[str] | None:
        return {each.version for each in ledger.shadows.outcomes(MODEL) if each.role == "shadow"} or None

    assert eventually(shadow_versions, 90, "the shadow") == {"3"}
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
