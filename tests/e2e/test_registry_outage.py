"""MLflow stops: studies keep being read, also after a restart. A version that cannot be trusted never reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry.client import RegistryClient
from registry.server import start_embedded, stop_embedded
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack, eventually


@pytest.fixture(scope="module")
def own_stack(new_stack: NewStack) -> LiveStack:
    return new_stack("outage")


@pytest.fixture(scope="module")
def study(own_stack: LiveStack) -> str:
    (sample,) = own_stack.run("samples", "--only", "head-ct")  # type: ignore[misc]
    return str(sample["study_uid"])  # type: ignore[index]


def read(stack: LiveStack, study: str) -> dict[str, Any]:
    job = stack.finished(stack.submit(study, "samples", model="ich-triage"))
    assert job["state"] == "completed", job["error"]
    with stack.http() as http:
        result: dict[str, Any] = http.get(f"/v1/jobs/{job['id']}/results").json()
    return result


def variants(stack: LiveStack) -> list[dict[str, Any]]:
    with stack.http() as http:
        found: list[dict[str, Any]] = http.get("/v1/models").json()["variants"]
    return found


def test_moving_champion_changes_who_answers(own_stack: LiveStack, study: str) -> None:
    client = RegistryClient(own_stack.settings.registry_url)
    assert read(own_stack, study)["model"]["version"] == "1"
    client.set_alias("ich-triage", "champion", "2")
    eventually(lambda: read(own_stack, study)["model"]["version"] == "2" or None, 90, "version 2 to answer")
    client.set_alias("ich-triage", "champion", "1")
    eventually(lambda: read(own_stack, study)["model"]["version"] == "1" or None, 30, "version 1 to answer")


def test_a_changed_byte_is_refused_and_the_champion_goes_on(own_stack: LiveStack, study: str) -> None:
    client = RegistryClient(own_stack.settings.registry_url)
    artifact = client.artifact_root(client.version("ich-triage", "4"))
    folder = own_stack.settings.paths.mlflow / "artifacts" / artifact
    (model,) = [path for path in folder.rglob("*") if path.suffix in (".pt2", ".onnx")]
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(bytes(content))
    client.set_alias("ich-triage", "challenger", "4")

    def refused() -> dict[str, Any] | None:
        return next((v for v in variants(own_stack) if v["version"] == "4" and v["state"] == "refused"), None)

    assert "digest" in eventually(refused, 60, "version 4 to be refused")["reason"]

    def told() -> bool | None:
        page = client.version("ich-triage", "4")
        return (
            page.tags.get("rollout.state", "").startswith("refused") and "refused" in page.description
        ) or None

    eventually(told, 10, "its page in MLflow to say so")
    assert read(own_stack, study)["model"]["version"] == "1"
    client.delete_alias("ich-triage", "challenger")


def test_without_mlflow_studies_are_read(own_stack: LiveStack, study: str) -> None:
    stop_embedded(own_stack.settings.paths.mlflow)
    eventually(lambda: registry_state(own_stack) == "last known good" or None, 30, "the outage to be seen")
    assert read(own_stack, study)["model"]["version"] == "1"


def test_without_mlflow_a_restart_serves_what_served(own_stack: LiveStack, study: str) -> None:
    own_stack.kill_everything()
    own_stack.environment["SERINUS_MLFLOW_URL"] = own_stack.settings.registry_url  # a registry that is away
    own_stack.up()
    assert registry_state(own_stack) == "last known good"
    assert read(own_stack, study)["model"]["version"] == "1"


def test_mlflow_comes_back_and_is_obeyed(own_stack: LiveStack, study: str) -> None:
    start_embedded(Path(own_stack.settings.paths.mlflow), own_stack.settings.mlflow_port)
    eventually(lambda: registry_state(own_stack) == "live" or None, 30, "the registry to be seen")
    RegistryClient(own_stack.settings.registry_url).set_alias("ich-triage", "champion", "3")
    eventually(lambda: read(own_stack, study)["model"]["version"] == "3" or None, 90, "version 3 to answer")
    stop_embedded(own_stack.settings.paths.mlflow)


def registry_state(stack: LiveStack) -> str:
    with stack.http() as http:
        return str(http.get("/v1/models").json()["registry"])
