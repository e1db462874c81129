"""A model owner finds each study in MLflow's list, by its own REST interface: who read what, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger import Ledger
from observability.names import Stage
from observability.record import Outcome, StudyTrace
from observability.redaction import Pseudonymiser
from observability.traces.mlflow_experiment import mlflow_experiment_id
from observability.traces.spans import Form
from registry.server import EmbeddedServer
from serve_apps.adapters.tracing import EXPERIMENT, mlflow_sink
from serve_apps.application.export_traces import TraceExport
from serve_apps.settings import Settings
from tests.unit.observability.traces import reading, study, timing

READ = reading(
    scores=(("1386000", 0.93), ("230706003", 0.2)),
    finding_names=("Intracranial hemorrhage", "Stroke"),
    batch_size=2,
    replica="r1",
)
LIVE = study(records=(READ,), traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
CANARY = study(job_id="job-2", records=(replace(READ, variant="canary", version="3", batch_size=1),))
SHADOW = replace(
    LIVE,
    stages=(),
    records=(
        replace(READ, variant="shadow-next", version="4", role="shadow", delivered=False, batch_size=1),
    ),
    is_live=False,
    traceparent=None,
)
FAILED = study(
    job_id="job-3",
    records=(),
    stages=(timing(Stage.QUEUE, 0, 5),),
    outcome=Outcome.FAILED,
    error_code="source-timeout",
    failed_at=Stage.FETCH,
)


@pytest.fixture(scope="module")
def listed(mlflow_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What the list shows of the four studies, by trace id, and a way to send them again."""
    ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}")
    for trace in (LIVE, CANARY, SHADOW, FAILED):
        ledger.study_records.add(trace)
    settings = Settings(state_dir=Path("/nowhere"), mlflow_url=mlflow_server.url)
    sink, keys = mlflow_sink(settings), Pseudonymiser(b"an integration key of 32 bytes!!")
    experiment = mlflow_experiment_id(mlflow_server.url, EXPERIMENT, timeout_s=10)

    def search(sink_name: str, where: str = "") -> dict[str, Any]:
        TraceExport(sink_name, sink, Form.OWN_ROOT, ledger.traces, keys, 1.0).look()
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
        body = {"locations": [place], "max_results": 100, "filter": where}
        answer = httpx.post(f"{mlflow_server.url}/api/3.0/mlflow/traces/search", json=body, timeout=10)
        traces = answer.raise_for_status().json().get("traces", [])
        return {one["trace_id"].removeprefix("tr-"): one for one in traces}

    yield search
    sink.close()
    ledger.close()


def shown(listed: Any, trace: StudyTrace) -> tuple[str, str, dict[str, Any], dict[str, Any], dict[str, str]]:
    row = listed("mlflow")[trace.trace_id]
    request, response = json.loads(row["request_preview"]), json.loads(row["response_preview"])
    return row["tags"]["mlflow.traceName"], row["state"], request, response, row["tags"]


def test_the_list_shows_version_outcome_finding_and_score(listed: Any) -> None:
    name, state, request, response, tags = shown(listed, CANARY)
    assert (name, state) == ("ich-triage v3 canary", "OK")
    assert list(request.items())[:4] == [
        ("model", "ich-triage"),
        ("version", "3"),
        ("variant", "canary"),
        ("modality", "CT"),
    ]
    assert list(response.items())[:3] == [
        ("outcome", "ok"),
        ("finding", "Intracranial hemorrhage"),
        ("score", 0.93),
    ]
    asked = {"model": "ich-triage", "version": "3", "variant": "canary", "outcome": "ok"}
    assert tags.items() >= asked.items()


def test_a_failed_study_shows_its_stage_and_its_code(listed: Any) -> None:
    name, state, _, response, tags = shown(listed, FAILED)
    assert (name, state) == ("not read", "ERROR")
    assert response == {"outcome": "failed", "stage": "fetch", "code": "source-timeout"}
    assert tags.items() >= {"stage": "fetch", "code": "source-timeout"}.items()


def test_a_code_and_a_version_can_be_asked_for(listed: Any) -> None:
    assert set(listed("mlflow", "tags.code = 'source-timeout'")) == {FAILED.trace_id}
    assert set(listed("mlflow", "tags.version = '3'")) == {CANARY.trace_id}


def test_a_study_of_a_traced_caller_does_not_stay_in_progress(listed: Any) -> None:
    assert shown(listed, LIVE)[1] == "OK"


def test_a_shadow_and_a_forward_pass_are_traces_of_their_own(listed: Any) -> None:
    assert shown(listed, SHADOW)[0] == "ich-triage v4 shadow-next"
    names = [row["tags"]["mlflow.traceName"] for row in listed("mlflow").values()]
    assert "batch of 2: ich-triage v2" in names


def test_what_is_sent_again_is_not_there_twice(listed: Any, mlflow_server: EmbeddedServer) -> None:
    def spans() -> dict[str, int]:
        return {
            trace: httpx.get(
                f"{mlflow_server.url}/api/3.0/mlflow/traces/get",
                params={"trace_id": f"tr-{trace}", "allow_partial": "true"},
                timeout=10,
            )
            .raise_for_status()
            .text.count('"span_id"')
            for trace in listed("mlflow")
        }

    before = spans()
    listed("another name, which took nothing yet")
    assert min(before.values()) > 0
    assert spans() == before
