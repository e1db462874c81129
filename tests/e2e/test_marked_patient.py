"""A patient whose every datum is marked goes through the whole stack, errors included; then every sink is searched.

Sinks: logs of all processes, MLflow's database and artifacts, what a collector received (spans and metrics), what a
Prometheus stored, and the tables of the ledger that are not clinical.
"""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from imaging.samples.synthetic import make_ct_study
from tests.marked_study import MARK, MarkedStudy, found_in, marked
from tests.orthanc import Orthanc
from tests.prometheus import Prometheus
from tests.receiver import Receiver
from tests.stack import LiveStack, eventually

CLINICAL: Final = frozenset(  # what names a study by its meaning: who asked for it, and its report
    {"jobs", "documents", "deliveries", "idempotency", "shadow_tasks", "truth_notes"}
)
HOSTILE: Final = {
    "baggage": f"patient={MARK}BAGGAGE",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": f"{MARK.lower()}=1",
    "User-Agent": f"{MARK}AGENT",
    "X-Request-Id": f"{MARK}REQUESTID",
    "Idempotency-Key": f"{MARK}IDEMPOTENT",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the stack was told about, and whom it told."""

    secrets: tuple[bytes, ...]
    jobs: tuple[str, ...]
    prometheus: Path


@pytest.fixture(scope="module")
def told(
    stack: LiveStack, pacs: Orthanc, collector: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    whole = marked(make_ct_study("marked-whole", size=128))
    gap = marked(
        [one for at, one in enumerate(make_ct_study("marked-gap", size=128)) if at not in (9, 10, 11)]
    )
    pushed = marked(make_ct_study("marked-pushed", size=128))
    for study in (whole, gap):
        pacs.push(study.files)
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, stack.settings.api_url.removeprefix("http://"), stack.key) as prometheus:
        with Receiver(refusals=1) as caller:
            read = [*_read(stack, whole, gap, f"{caller.base}/{MARK}CALLBACK")]
        jobs = [*read, *_pushed(stack, pushed)]
        _refused(stack, whole)
        with stack.http() as http:
            eventually(lambda: _is_told(http, collector), 60, "the records to reach every sink")
        prometheus.wait_for_scrapes(5)
    return Told((*whole.secrets, *gap.secrets, *pushed.secrets), tuple(jobs), prometheus.data)


def _read(stack: LiveStack, whole: MarkedStudy, gap: MarkedStudy, callback: str) -> Iterator[str]:
    """Read well, read with errors of every kind, each job with a context that names the patient.

    The callback is refused at first.
    """
    context = {"referrer": f"Dr {MARK}REFERRER", "service": f"{MARK}SERVICE"}
    asked = [
        (whole.study_uid, {"model": "ich-triage", "callback": callback}),
        (whole.study_uid, {"model": "brain-volume"}),
        (whole.study_uid, {"model": "chest-film-qa"}),
        (whole.study_uid, {"series_uids": ["1.2.826.0.1.3680043.8.498.404"]}),
        (gap.study_uid, {"model": "ich-triage"}),
        ("1.2.826.0.1.3680043.8.498.40404", {"model": "ich-triage"}),
    ]
    submitted = [stack.submit(uid, "pacs", context=context, **more) for uid, more in asked]
    outcomes = [stack.finished(job) for job in submitted]
    assert outcomes[0]["state"] == "completed", outcomes[0]
    assert {one["state"] for one in outcomes[1:]} == {"failed"}
    yield from submitted


def _pushed(stack: LiveStack, study: MarkedStudy) -> Iterator[str]:
    """By STOW-RS: whole files, one cut off in the middle of its pixels, and one that is no DICOM."""
    parts = [*study.files, study.files[0][:-2000], f"{MARK}NODICOM".encode() * 40]
    body = b"".join(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    with stack.http() as http:
        answer = http.post("/dicom-web/studies", content=body + b"--x--\r\n", headers={**kind, **HOSTILE})
        assert answer.status_code in (200, 202, 409), answer.text
        asked = {"study_uid": study.study_uid}
        found = eventually(
            lambda: [job["id"] for job in http.get("/v1/jobs", params=asked).json()["jobs"]] or None,
            60,
            "the pushed study to become a job",
        )
    for job in found:
        stack.finished(job)
    yield from found


def _refused(stack: LiveStack, study: MarkedStudy) -> None:
    """What a caller may get wrong, with the patient in every part of a request."""
    wrong: Sequence[object] = (
        {"study_uid": f"{MARK}^PATIENT", "source": "pacs"},
        {"study_uid": study.study_uid, "source": f"{MARK}source"},
        {"study_uid": study.study_uid, "source": "pacs", f"{MARK}field": f"{MARK}VALUE"},
        {"study_uid": study.study_uid, "source": "pacs", "context": [f"{MARK}LIST"]},
        f"{MARK}TEXT",
    )
    with stack.http() as http:
        answers = [http.post("/v1/jobs", json=body, headers=HOSTILE) for body in wrong]
        answers += [
            http.get(f"/v1/jobs/{MARK}JOB", headers=HOSTILE),
            http.get(f"/v1/{MARK}PATH/{study.study_uid}", params={"PatientName": f"{MARK}^QUERY"}),
            http.get("/v1/jobs", params={"study_uid": f"{MARK}^UID"}),
            http.post(f"/v1/studies/{study.study_uid}/truth", json={"note": f"{MARK}NOTE"}),
            http.post("/v1/jobs", content=f"{{{MARK}".encode(), headers={"Content-Type": "application/json"}),
        ]
    with stack.http(key=f"{MARK}KEY") as stranger:
        answers.append(stranger.get("/v1/jobs"))
    for answer in answers:
        assert 400 <= answer.status_code < 500, f"{answer.status_code} for {answer.request.url.path}"


def _is_told(http: httpx.Client, collector: Receiver) -> bool | None:
    """Whether the last refusal and the readings are told by the metrics and the collector."""
    text = http.get("/metrics").text
    return (
        True if 'outcome="failed"' in text and {"/v1/traces", "/v1/metrics"} <= set(collector.paths) else None
    )


def test_the_search_finds_what_is_there(stack: LiveStack, told: Told) -> None:
    """The clinical tables hold the study by design: a search that misses it there would prove nothing elsewhere."""
    found = found_in(_table(stack, "jobs"), told.secrets)
    assert f"{MARK}REFERRER".encode() in b" ".join(found)
    assert set(found) & set(told.secrets)


def test_no_other_table_of_the_ledger_knows_the_patient(stack: LiveStack, told: Told) -> None:
    tables = _tables(stack) - CLINICAL
    assert {"study_records", "metric_series", "decisions", "audit", "drift_counts"} <= tables
    assert {
        name: found for name in sorted(tables) if (found := found_in(_table(stack, name), told.secrets))
    } == {}


def test_no_metric_and_nothing_that_prometheus_stored_knows_the_patient(stack: LiveStack, told: Told) -> None:
    with stack.http() as http:
        text = http.get("/metrics").content
    assert b"serinus_studies_total" in text
    assert found_in(text, told.secrets) == []
    stored = {path: path.read_bytes() for path in told.prometheus.rglob("*") if path.is_file()}
    assert any(b"serinus_studies_total" in content for content in stored.values())
    assert _found(stored, told.secrets) == {}


def test_no_collector_was_told_of_the_patient(collector: Receiver, told: Told) -> None:
    bodies = [_plain(headers, body) for headers, body in collector.calls]
    text = b" ".join(bodies)
    assert b"dicom.receive" in text
    assert b"serinus_studies" in text
    assert b"error.type" in text
    assert [found for body in bodies for found in found_in(body, told.secrets)] == []


def test_nothing_that_mlflow_keeps_knows_the_patient(stack: LiveStack, told: Told) -> None:
    kept = {path: path.read_bytes() for path in stack.settings.paths.mlflow.rglob("*") if path.is_file()}
    assert any(path.name.startswith("mlflow.db") and b"dicom.receive" in text for path, text in kept.items())
    assert _found(kept, told.secrets) == {}


def test_no_log_of_any_process_knows_the_patient(stack: LiveStack, told: Told) -> None:
    ray = Path(stack.settings.paths.ray)
    roots = [stack.settings.paths.logs, ray, *ray.parent.glob("ray*")]
    roots += [path for path in Path("/tmp").glob("serinus-*") if path.is_dir()]
    logs = {
        path: path.read_bytes()
        for root in {root.resolve() for root in roots if root.exists()}
        for path in root.rglob("*")
        if path.is_file() and path.suffix in (".log", ".out", ".err", ".json", ".txt")
    }
    assert sum(map(len, logs.values())) > 10_000
    assert _found(logs, told.secrets) == {}


def _tables(stack: LiveStack) -> set[str]:
    with sqlite3.connect(f"file:{stack.settings.paths.ledger}?mode=ro", uri=True) as connection:
        rows = connection.execute("select name from sqlite_master where type = 'table'")
        return {name for (name,) in rows if not name.startswith("sqlite_")}


def _table(stack: LiveStack, name: str) -> bytes:
    """Every value of the table."""
    with sqlite3.connect(f"file:{stack.settings.paths.ledger}?mode=ro", uri=True) as connection:
        rows = connection.execute(f'select * from "{name}"').fetchall()
    values = (value for row in rows for value in row)
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def _plain(headers: Mapping[str, str], body: bytes) -> bytes:
    return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body


def _found(texts: dict[Path, bytes], secrets: Sequence[bytes]) -> dict[str, list[bytes]]:
    return {path.name: found for path, text in texts.items() if (found := found_in(text, secrets))}
