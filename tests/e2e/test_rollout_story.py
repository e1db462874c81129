"""One change, told whole, under steady load: challenger, silence, half the patients, freeze, promotion, rollback.

No study fails or is lost, a patient's versions only move forward with the weight, and nothing silent is heard.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from registry.client import RegistryClient
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import reports_in
from tests.orthanc import Orthanc
from tests.stack import LiveStack, eventually

PATIENTS = 40
MODEL = "ich-triage"


class Load:
    """A steady caller: reads one patient's study after the other and keeps what came back."""

    def __init__(self, stack: LiveStack, studies: dict[str, str]) -> None:
        self.stack = stack
        self.studies = studies
        self.results: list[tuple[str, dict[str, Any]]] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in (1, 2)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        order = random.Random(seed)
        while not self._stop.is_set():
            patient = order.choice(sorted(self.studies))
            answer = read(self.stack, self.studies[patient])
            if answer.status_code == 200:
                self.results.append((patient, answer.json()))
            else:
                self.failures.append(answer.text)

    def since(self, mark: int) -> list[tuple[str, dict[str, Any]]]:
        return self.results[mark:]

    def wait_for(self, count: int) -> int:
        """Wait for `count` more results; returns where they begin."""
        mark = len(self.results)
        eventually(lambda: len(self.results) >= mark + count or None, 120, f"{count} results")
        return mark


def read(stack: LiveStack, study: str) -> httpx.Response:
    with stack.http() as http:
        body = {"study_uid": study, "source": "pacs", "model": MODEL}
        return http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})


def version_of(stack: LiveStack, study: str) -> str:
    return str(read(stack, study).json()["model"]["version"])


@pytest.fixture(scope="module")
def story_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("story-pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def story(new_stack: NewStack, story_pacs: Orthanc) -> LiveStack:
    return new_stack("story", {"id": "pacs", "kind": "dicomweb", "base_url": story_pacs.dicomweb_url})


@pytest.fixture(scope="module")
def studies(story_pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One small head CT per patient; study UID by Patient ID."""
    folder = tmp_path_factory.mktemp("story-studies")
    found = {}
    for number in range(PATIENTS):
        patient = f"PATIENT-{number:03d}"
        paths = []
        datasets = make_ct_study(seed=f"story-{number}", slices=10, size=64)
        for index, dataset in enumerate(datasets):
            dataset.PatientID = patient
            paths.append(folder / f"{number}-{index}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
        story_pacs.push(paths)
        found[patient] = str(datasets[0].StudyInstanceUID)
    return found


def test_a_version_comes_goes_and_comes_back_under_load(
    story: LiveStack, story_pacs: Orthanc, studies: dict[str, str]
) -> None:
    registry = RegistryClient(story.settings.registry_url)
    ledger = Ledger.open(story.settings.ledger)
    with Load(story, studies) as load:
        # the challenger reads in silence
        load.wait_for(4)
        registry.set_alias(MODEL, "challenger", "2")
        eventually(lambda: state_of(story, "2") == "warm" or None, 90, "version 2 to be warm")
        load.wait_for(6)
        assert {r["model"]["version"] for _, r in load.results} == {"1"}
        eventually(lambda: len(ledger.shadows.outcomes(MODEL)) >= 3 or None, 60, "silent readings")
        assert {s.version for s in ledger.shadows.outcomes(MODEL)} == {"2"}

        # half of the patients
        story.run("route", "set-weight", MODEL, "2", "50")
        mark = load.wait_for(40)
        by_patient: dict[str, set[str]] = {}
        for patient, result in load.since(mark + 4):  # what was on its way when the weight came
            by_patient.setdefault(patient, set()).add(result["routing"]["version"])
        assert all(len(versions) == 1 for versions in by_patient.values()), "a patient changed its version"
        shares = Counter(next(iter(versions)) for versions in by_patient.values())
        assert shares["1"] > 0
        assert shares["2"] > 0
        canaries = {p for p, v in by_patient.items() if v == {"2"}}

        # the champion reads behind the canary, and says so in the ledger only
        eventually(
            lambda: any(s.role == "safety-net" for s in ledger.shadows.outcomes(MODEL)) or None,
            60,
            "the safety net",
        )

        # the kill switch, and back: the same patients, the same versions
        story.run("freeze", "a drill")
        mark = load.wait_for(12)
        assert {r["model"]["version"] for _, r in load.since(mark + 4)} == {"1"}
        story.run("unfreeze")
        mark = load.wait_for(30)
        again = {p for p, r in load.since(mark + 4) if r["model"]["version"] == "2"}
        assert again
        assert again <= canaries | (set(studies) - by_patient.keys())

        # a canary whose replicas die is answered by the champion
        for _ in range(2):
            story.kill(f"ServeReplica:mv-{MODEL}-2:ModelServer")
            load.wait_for(6)

        # promoted, and rolled back
        registry.set_alias(MODEL, "champion", "2")
        eventually(lambda: versions_now(story, studies) == {"2"} or None, 60, "the promotion")
        registry.delete_alias(MODEL, "challenger")
        registry.set_alias(MODEL, "champion", "1")
        eventually(lambda: versions_now(story, studies) == {"1"} or None, 30, "the rollback")
        story.run("status")
    assert load.failures == []
    assert len(load.results) > 100
    assert ledger.audit.first_broken() is None
    moves = [(t.alias, t.old, t.new) for t in reversed(ledger.transitions.history(MODEL))]
    assert ("champion", "1", "2") in moves
    assert ("champion", "2", "1") in moves
    for study in list(studies.values())[:10]:
        assert len(reports_in(story_pacs, study)) <= 2  # one per version that answered, none of a silent one


def test_every_decision_can_be_explained_and_recomputed(story: LiveStack) -> None:
    with story.http() as http:
        jobs = http.get("/v1/jobs", params={"state": "completed", "limit": 60}).json()["jobs"]
    explained = [story.run("explain", job["id"]) for job in jobs[::20]]
    assert explained
    for document in explained:
        assert document["decisions"]
        assert all(decision["agrees"] for decision in document["decisions"])


def test_an_uncleared_version_only_reads_in_silence_at_a_strict_site(new_stack: NewStack) -> None:
    strict = new_stack("strict", environment={"SERINUS_SITE_POLICY": "strict"})
    registry = RegistryClient(strict.settings.registry_url)
    with strict.http() as http:
        rows = {v["model"]: v for v in http.get("/v1/models").json()["variants"]}
        answer = http.post("/v1/jobs", json={"study_uid": "2.25.1", "source": "samples", "model": MODEL})
    assert "only reads in silence" in rows[MODEL]["reason"]
    assert (answer.status_code, answer.json()["code"]) == (503, "model-refused")
    assert "only reads in silence" in answer.json()["detail"]
    version = registry.version(MODEL, "1")
    registry.set_tag(MODEL, "1", "regulatory.status", "cleared")
    registry.set_tag(MODEL, "1", "regulatory.digest", version.tags["serinus.artifact.digest"])

    def cleared() -> bool | None:
        with strict.http() as http:
            answer = http.post("/v1/jobs", json={"study_uid": "2.25.1", "source": "samples", "model": MODEL})
        return True if answer.status_code == 202 else None

    assert eventually(cleared, 60, "the clearance to count")


def versions_now(stack: LiveStack, studies: dict[str, str]) -> set[str]:
    return {version_of(stack, study) for study in list(studies.values())[:6]}


def state_of(stack: LiveStack, version: str) -> str | None:
    with stack.http() as http:
        rows = http.get("/v1/models").json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)
