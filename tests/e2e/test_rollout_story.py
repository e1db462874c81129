"""One change, told whole, under steady load: from the registry to promotion, and back.

No study fails or is lost, a patient's version changes only when a person moves a weight or an alias, the shares
are the weights, and no shadow is heard.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from registry.client import RegistryClient
from registry.server import owned_processes
from serve_apps.embedded.demo_models import DEMO_MODELS, register_version
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import versions_reported
from tests.load import Load, readers
from tests.mlflow_page import MlflowPage
from tests.orthanc import Orthanc
from tests.shares import share_fits
from tests.stack import LiveStack, eventually

PATIENTS = 40
MODEL = "ich-triage"


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


@pytest.mark.timeout(1800)  # the whole story; a slow machine needs more than the ten minutes of all others
def test_a_version_comes_goes_and_comes_back_under_load(
    story: LiveStack, story_pacs: Orthanc, studies: dict[str, str], tmp_path: Path
) -> None:
    registry = RegistryClient(story.settings.registry_url)
    ledger = Ledger.open(story.settings.ledger)
    with (
        Load(story, studies, MODEL) as load,
        MlflowPage(registry_url(story), pictures=tmp_path, wait_s=60) as page,
    ):
        load.wait_for(4)
        new = register_version(story.settings, DEMO_MODELS[0].versions[1]).version
        is_a_shadow_first(story, story_pacs, registry, ledger, load, new)
        few, half = answers_a_share(story, load, new)
        assert few <= half, "a raised weight took a patient away from the canary"
        is_frozen_and_back(story, load, new, half)
        survives(story, load, new, half)
        promoted_in_mlflow(story, page, load, new)
        assert page.tags(MODEL, new)["rollout.state"].startswith("warm as")
        rolled_back_in_mlflow(story, page, load, new)
        a_broken_version_is_refused(story, registry, load)
        deployed_again(story, load)
    assert load.failures == []
    assert len(load.results) > 10 * PATIENTS
    assert ledger.audit.first_broken() is None
    moves = [(t.alias, t.old, t.new) for t in reversed(ledger.transitions.history(MODEL))]
    assert ("champion", "1", new) in moves
    assert ("champion", new, "1") in moves
    with story.http() as http:
        assert http.get("/v1/models").json()["alarms"] == {}
    for study in list(studies.values())[:10]:
        assert versions_reported(story_pacs, study) <= {"1", new}


def is_a_shadow_first(
    story: LiveStack, story_pacs: Orthanc, registry: RegistryClient, ledger: Ledger, load: Load, new: str
) -> None:
    registry.set_alias(MODEL, "challenger", new)
    eventually(lambda: state_of(story, new) == "warm" or None, 120, "the challenger to be warm")
    mark = load.wait_for(10)
    assert all(versions == {"1"} for versions in load.versions_since(mark).values())
    eventually(lambda: len(ledger.shadows.outcomes(MODEL)) >= 3 or None, 120, "shadows")
    shadows = ledger.shadows.outcomes(MODEL)
    assert {s.version for s in shadows} == {new}
    for patient in {patient for patient, _ in load.results[mark:]}:
        assert versions_reported(story_pacs, load.studies[patient]) == {"1"}, (
            "a shadow's report reached the PACS"
        )


def answers_a_share(story: LiveStack, load: Load, new: str) -> tuple[set[str], set[str]]:
    """5 %, then 50 %: the canary's patients at each."""
    found = []
    for percent in (5, 50):
        story.run("route", "set-weight", MODEL, new, str(percent))
        who = readers(load.everybody_once(), new)
        assert share_fits(len(who), PATIENTS, percent * 100), f"{len(who)} of {PATIENTS} at {percent} %"
        found.append(who)
    return found[0], found[1]


def is_frozen_and_back(story: LiveStack, load: Load, new: str, canaries: set[str]) -> None:
    story.run("freeze", "a drill")
    mark = load.settle()
    load.wait_for(12)
    assert all(versions == {"1"} for versions in load.versions_since(mark).values())
    story.run("unfreeze")
    assert readers(load.everybody_once(), new) == canaries


def survives(story: LiveStack, load: Load, new: str, canaries: set[str]) -> None:
    """The death of the canary's replicas, a worker, the controller, MLflow and the ingress, one after the other.

    Callers repeat nothing, and not one sees an error but those whose connection the killed ingress held.
    """
    assert load.failures == []
    assert story.kill(f"ServeReplica:mv-{MODEL}-{new}:ModelServer")
    load.wait_for(10)
    for deployment in ("JobWorker", "StudyReader", "RolloutController"):
        assert story.kill(f"ServeReplica:serinus:{deployment}"), deployment
        load.wait_for(10)
        assert load.failures == [], f"{deployment} was killed"
        assert readers(load.everybody_once(), new) == canaries, f"the death of {deployment} moved a patient"
    for pid in owned_processes(story.settings.paths.mlflow):
        os.kill(pid, signal.SIGKILL)
    load.wait_for(10)
    assert load.failures == []
    assert story.kill("ServeReplica:serinus:Ingress")
    load.wait_for(10)
    assert len(load.failures) <= load.callers, load.failures
    load.failures.clear()
    assert readers(load.everybody_once(), new) == canaries, "a kill moved a patient"
    story.run("up", "--no-demo")


def promoted_in_mlflow(story: LiveStack, page: MlflowPage, load: Load, new: str) -> None:
    page.add_alias(MODEL, new, "champion")
    eventually(lambda: champion_of(story) == new or None, 30, "the promotion")
    assert set(load.everybody_once().values()) == {new}


def rolled_back_in_mlflow(story: LiveStack, page: MlflowPage, load: Load, new: str) -> None:
    page.add_alias(MODEL, "1", "champion")
    eventually(lambda: champion_of(story) == "1" or None, 30, "the rollback")
    assert set(load.everybody_once().values()) == {"1"}, "the weight of before the promotion came back"
    page.remove_alias(MODEL, new, "challenger")
    assert Ledger.open(story.settings.ledger).routing.get(MODEL).weight_bp == 0, "it went with the candidacy"


def a_broken_version_is_refused(story: LiveStack, registry: RegistryClient, load: Load) -> None:
    artifact = registry.artifact_root(registry.version(MODEL, "3"))
    folder = story.settings.paths.mlflow / "artifacts" / artifact
    (model,) = [path for path in folder.rglob("*") if path.suffix in (".pt2", ".onnx")]
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(bytes(content))
    registry.set_alias(MODEL, "challenger", "3")
    eventually(lambda: state_of(story, "3") == "refused" or None, 90, "version 3 to be refused")
    mark = load.wait_for(10)
    assert "3" not in set().union(*load.versions_since(mark).values())
    registry.delete_alias(MODEL, "challenger")


def deployed_again(story: LiveStack, load: Load) -> None:
    """The same config restarts nothing; a changed one replaces every replica, and no caller notices."""
    before = story.processes("ServeReplica:")
    story.run("up", "--no-demo")
    load.wait_for(10)
    assert set(before) <= set(story.processes("ServeReplica:")), "an unchanged config restarted a replica"
    story.deploy(lambda application: application.update(args={"max_open_jobs": 9_999}))
    old = set(before) & set(story.processes("ServeReplica:serinus:"))
    eventually(
        lambda: not old & set(story.processes("ServeReplica:serinus:")) or None, 180, "a rolling update"
    )
    load.wait_for(10)
    assert load.failures == [], "a changed config cost a caller its answer"
    with story.http() as http:
        jobs = http.get("/v1/jobs", params={"limit": 100}).json()["jobs"]
    assert {job["attempt"] for job in jobs} <= {0, 1}, "a rolling update cost an attempt"


def test_two_arms_share_the_patients_until_the_test_ends(story: LiveStack, studies: dict[str, str]) -> None:
    registry = RegistryClient(story.settings.registry_url)
    registry.set_alias(MODEL, "arm-a", "1")
    registry.set_alias(MODEL, "arm-b", "2")
    eventually(lambda: state_of(story, "2") == "warm" or None, 120, "arm-b to be warm")
    with Load(story, studies, MODEL, callers=2) as load:
        story.run("ab", "start", MODEL, "arm-a=50", "arm-b=50")
        eventually(lambda: story.run("ab", "show", MODEL)["serving"] or None, 30, "the test to serve")
        who = load.everybody_once()
        report = story.run("ab", "show", MODEL)
        story.run("ab", "end", MODEL)
        assert set(load.everybody_once().values()) == {"1"}
        beside = a_canary_runs_beside_a_test_in_another_slot(story, registry, load)
    assert load.failures == []
    assert share_fits(len(readers(beside, "2")), PATIENTS, 7_500), "all of one half, and half of the other"
    assert share_fits(len(readers(who, "2")), PATIENTS, 5_000)
    patients = {arm["name"]: arm["versions"][0]["patients"] for arm in report["arms"]}
    assert patients["arm-b"] == len(readers(who, "2"))
    assert sum(patients.values()) == PATIENTS
    assert report["sample_ratio"]["verdict"] == "Successful"
    for alias in ("arm-a", "arm-b"):
        registry.delete_alias(MODEL, alias)


def a_canary_runs_beside_a_test_in_another_slot(
    story: LiveStack, registry: RegistryClient, load: Load
) -> dict[str, str]:
    registry.set_alias(MODEL, "challenger", "2")
    story.run("route", "set-layer", MODEL, "reading:0-50")
    story.run("route", "set-weight", MODEL, "2", "100")
    story.run("ab", "start", MODEL, "arm-a=50", "arm-b=50", "--slot", "reading:50-100")
    eventually(lambda: story.run("ab", "show", MODEL)["serving"] or None, 30, "the test to serve")
    (routes,) = (m for m in story.run("route", "get")["models"] if m["model"] == MODEL)
    assert (routes["canary"]["slot"]["stop"], routes["ab_slot"]["start"]) == (5_000, 5_000)
    who = load.everybody_once()
    story.run("ab", "end", MODEL)
    story.run("route", "set-weight", MODEL, "2", "0")
    story.run("route", "set-layer", MODEL)
    registry.delete_alias(MODEL, "challenger")
    return who


def test_a_tester_is_read_by_the_variant_that_he_names(story: LiveStack, studies: dict[str, str]) -> None:
    registry = RegistryClient(story.settings.registry_url)
    registry.set_alias(MODEL, "challenger", "2")
    eventually(lambda: state_of(story, "2") == "warm" or None, 120, "the challenger to be warm")
    story.run("route", "set-weight", MODEL, "2", "0")
    for study in list(studies.values())[:3]:
        submitted = ("submit", study, "--source", "pacs", "--model", MODEL, "--force")
        assert story.run(*submitted)["result"]["model"]["version"] == "1"
        asked = story.run(*submitted, "--variant", "canary")
        assert asked["result"]["model"]["version"] == "2"
        (decision, *_) = story.run("explain", asked["job"]["id"])["decisions"]
        assert "tester" in " ".join(decision["sentences"])
    registry.delete_alias(MODEL, "challenger")


def test_every_decision_can_be_explained_and_recomputed(story: LiveStack) -> None:
    with story.http() as http:
        jobs = http.get("/v1/jobs", params={"state": "completed", "limit": 60}).json()["jobs"]
    explained = [story.run("explain", job["id"]) for job in jobs[::20]]
    assert explained
    for document in explained:
        assert document["decisions"]
        assert all(decision["agrees"] for decision in document["decisions"])


def test_an_uncleared_version_only_is_a_shadow_first_at_a_strict_site(new_stack: NewStack) -> None:
    strict = new_stack("strict", environment={"SERINUS_SITE_POLICY": "strict"})
    registry = RegistryClient(strict.settings.registry_url)
    with strict.http() as http:
        rows = {v["model"]: v for v in http.get("/v1/models").json()["variants"]}
        answer = http.post("/v1/jobs", json={"study_uid": "2.25.1", "source": "samples", "model": MODEL})
    assert "only reads as a shadow" in rows[MODEL]["reason"]
    assert (answer.status_code, answer.json()["code"]) == (503, "model-refused")
    assert "only reads as a shadow" in answer.json()["detail"]
    version = registry.version(MODEL, "1")
    registry.set_tag(MODEL, "1", "regulatory.status", "cleared")
    registry.set_tag(MODEL, "1", "regulatory.digest", version.tags["serinus.artifact.digest"])

    def cleared() -> bool | None:
        with strict.http() as http:
            answer = http.post("/v1/jobs", json={"study_uid": "2.25.1", "source": "samples", "model": MODEL})
        return True if answer.status_code == 202 else None

    assert eventually(cleared, 60, "the clearance to count")


def registry_url(stack: LiveStack) -> str:
    return stack.settings.registry_url


def champion_of(stack: LiveStack) -> str | None:
    with stack.http() as http:
        models = http.get("/v1/routes").json()["models"]
    return next((str(m["champion"]["version"]) for m in models if m["model"] == MODEL), None)


def state_of(stack: LiveStack, version: str) -> str | None:
    with stack.http() as http:
        rows = http.get("/v1/models").raise_for_status().json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)
