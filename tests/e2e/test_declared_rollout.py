"""A rollout that is declared in a file, on a live stack: evidence and people move it, and a person puts it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from imaging.samples.synthetic import make_ct_study
from registry.client import RegistryClient
from tests.e2e.conftest import NewStack
from tests.stack import CommandFailed, LiveStack, eventually

MODEL, SOURCE = "ich-triage", "studies"
PATIENTS = 16
SHADOW, APPROVAL, CANARY = 1, 2, 3  # steps of the file, from 0

FILE = """
apiVersion: serinus/v1alpha1
kind: ModelRollout
metadata: {name: story}
spec:
  model: {name: ich-triage}
  regulatory: {changeRecord: CR-1, liveExposureAllowed: true}
  background: {templates: [{templateName: harm}]}
  steps:
    - setMirror: {percentage: 100}
    - analysis: {templates: [{templateName: no-worse}]}
    - pause: {approval: {roles: [radiologist], count: 1}}
    - setWeight: 50
    - pause: {duration: 2s}
    - setWeight: 100
---
apiVersion: serinus/v1alpha1
kind: AnalysisTemplate
metadata: {name: no-worse}
spec:
  metrics:
    - name: failures
      kind: shadow-failures
      hypothesis: non-inferiority
      margin: 0.5
      justification: Few studies have to show that the machinery decides; no patient is read here.
---
apiVersion: serinus/v1alpha1
kind: AnalysisTemplate
metadata: {name: harm}
spec:
  metrics: [{name: harm, kind: shadow-failures, critical: true, mustHaveData: false}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("declared-studies")


@pytest.fixture(scope="module")
def studies(folder: Path) -> list[str]:
    """One small head CT per patient, by study UID."""
    found = []
    for number in range(PATIENTS):
        datasets = make_ct_study(seed=f"declared-{number}", slices=10, size=64)
        for index, dataset in enumerate(datasets):
            dataset.PatientID = f"DECLARED-{number:02d}"
            dataset.save_as(folder / f"{number}-{index}.dcm", enforce_file_format=True)
        found.append(str(datasets[0].StudyInstanceUID))
    return found


@pytest.fixture(scope="module")
def site(new_stack: NewStack, folder: Path, studies: list[str]) -> LiveStack:
    return new_stack("declared", {"id": SOURCE, "kind": "folder", "root": str(folder)})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("declared") / "rollout.yaml"
    path.write_text(FILE)
    return str(path)


@pytest.fixture(scope="module")
def registry(site: LiveStack) -> RegistryClient:
    return RegistryClient(site.settings.registry_url)


def test_a_version_earns_its_promotion_and_is_put_back_by_a_person(
    site: LiveStack, studies: list[str], file: str, registry: RegistryClient
) -> None:
    a_challenger(site, registry, "2")
    site.run("rollout", "start", MODEL, file)
    before_evidence = read_all(site, studies[:2])
    assert told(site)["step"] <= SHADOW, "two studies prove nothing"

    waiting = versions_until(site, studies, lambda: told(site)["step"] == APPROVAL)
    assert before_evidence | waiting | read_all(site, studies) == {"1"}, "nobody approved it"
    assert told(site)["step"] == APPROVAL

    site.run("rollout", "approve", MODEL, "--role", "radiologist")
    exposed = versions_until(site, studies, lambda: told(site)["step"] > CANARY)
    assert "2" in exposed | read_all(site, studies)
    versions_until(site, studies, lambda: aliases(registry).get("champion") == "2")
    assert aliases(registry)["champion-previous"] == "1"
    assert read_all(site, studies) == {"2"}

    site.run("rollout", "undo", MODEL)
    eventually(
        lambda: aliases(registry).get("champion") == "1" or None, 60, "the champion to be the former one"
    )
    versions_until(site, studies, lambda: told(site)["phase"] == "Failed")
    assert read_all(site, studies) == {"1"}
    with pytest.raises(CommandFailed, match="rollout-refused"):
        site.run("rollout", "approve", MODEL, "--role", "radiologist")


def a_challenger(site: LiveStack, registry: RegistryClient, version: str) -> None:
    """The version is the challenger, and ready to read."""
    registry.set_alias(MODEL, "challenger", version)

    def is_warm() -> bool | None:
        with site.http() as http:
            variants = http.get("/v1/models").json()["variants"]
        states = {each["version"]: each["state"] for each in variants if each["role"] == "challenger"}
        return states.get(version) == "warm" or None

    eventually(is_warm, 120, f"version {version} to be warm")


def told(site: LiveStack) -> Mapping[str, Any]:
    with site.http() as http:
        answer = http.get(f"/v1/rollouts/{MODEL}")
    assert answer.status_code == 200, answer.text
    document: Mapping[str, Any] = answer.json()
    return document


def aliases(registry: RegistryClient) -> Mapping[str, str]:
    return registry.models()[MODEL].aliases


def read_all(site: LiveStack, studies: list[str]) -> set[str]:
    """The versions whose results the callers got. Every study is read, and none fails."""
    jobs = [site.submit(study, SOURCE, model=MODEL) for study in studies]
    versions = set()
    for job in jobs:
        ended = site.finished(job)
        assert ended["state"] == "completed", ended["error"]
        with site.http() as http:
            versions.add(http.get(f"/v1/jobs/{job}/results").json()["model"]["version"])
    return versions


def versions_until(
    site: LiveStack, studies: list[str], is_so: Callable[[], bool], within: int = 12
) -> set[str]:
    """Read all studies again and again until something is so; the versions that callers heard meanwhile."""
    heard: set[str] = set()
    for _ in range(within):
        heard |= read_all(site, studies)
        if is_so():
            return heard
    raise AssertionError(f"not so after {within} rounds: {told(site)}")
