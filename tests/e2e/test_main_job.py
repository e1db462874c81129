"""The main job: from an HTTP call to a report in the PACS."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from tests.e2e.pacs import instance_in, reports_in
from tests.orthanc import Orthanc
from tests.stack import LiveStack
from tests.validators import assert_valid_sr

First = tuple[Path, dict[str, Any]]


def test_the_first_up_reads_a_real_study_and_says_where_everything_is(first_up: First) -> None:
    _, printed = first_up
    demo = printed["demo"]
    assert demo["job"]["state"] == "completed"
    assert demo["result"]["findings"]
    assert 0 <= demo["result"]["priority_score"] <= 100
    assert {"queue", "fetch", "decode", "prepare", "forward", "report", "store"} <= set(
        demo["job"]["stages_s"]
    )
    assert Path(demo["documents"]["sr"]).is_file()
    assert set(printed["addresses"]) == {"api", "docs", "mlflow", "ray", "api_key_file", "admin_key_file"}


def test_the_addresses_answer(stack: LiveStack) -> None:
    addresses = stack.run("status")["addresses"]
    for name in ("docs", "mlflow", "ray"):
        assert httpx.get(addresses[name], follow_redirects=True).status_code == 200


def test_up_again_is_harmless(stack: LiveStack) -> None:
    before = stack.alive
    stack.up()
    assert abs(stack.alive - before) <= 2  # Ray keeps a few idle workers more or less
    with stack.http() as http:
        assert http.get("/readyz").status_code == 200


def test_status_tells_versions_health_and_queue(stack: LiveStack) -> None:
    status = stack.run("status")
    assert status["running"] == {"mlflow": True, "ray": True, "api": True}
    champions = {v["model"]: v for v in status["models"]["variants"] if v["role"] == "champion"}
    assert champions["ich-triage"]["state"] == "warm"
    assert champions["ich-triage"]["digest"].startswith("sha256:")
    assert isinstance(status["queue"], dict)


@pytest.fixture(scope="module")
def head_in_pacs(stack: LiveStack, pacs: Orthanc, head_ct: Path) -> str:
    """The real head CT, stored in the PACS; its study UID."""
    pacs.push(sorted(head_ct.rglob("*.dcm")))
    return str(pydicom.dcmread(next(iter(head_ct.rglob("*.dcm"))), stop_before_pixels=True).StudyInstanceUID)


def test_a_study_in_the_pacs_gets_its_report_into_the_same_study(
    stack: LiveStack, pacs: Orthanc, head_in_pacs: str, tmp_path: Path
) -> None:
    with stack.http() as http:
        answer = http.post(
            "/v1/jobs",
            json={"study_uid": head_in_pacs, "source": "pacs", "model": "ich-triage"},
            headers={"Prefer": "wait=90"},
        )
    assert answer.status_code == 200, answer.text
    result = answer.json()
    report_uid = result["sr_sop_instance_uid"]
    job = stack.finished(answer.headers["X-Serinus-Job"])
    assert job["state"] == "completed"
    assert job["undelivered"] == []
    assert reports_in(pacs, head_in_pacs) == [report_uid]
    encoded = instance_in(pacs, report_uid)
    assert_valid_sr(encoded, tmp_path)
    report = pydicom.dcmread(io.BytesIO(encoded))
    assert report.StudyInstanceUID == head_in_pacs
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_the_same_study_again_leaves_one_report(stack: LiveStack, pacs: Orthanc, head_in_pacs: str) -> None:
    job = stack.finished(stack.submit(head_in_pacs, "pacs", model="ich-triage"))
    assert job["state"] == "completed"
    assert len(reports_in(pacs, head_in_pacs)) == 1


def test_results_come_as_json_and_as_dicom(stack: LiveStack, head_in_pacs: str) -> None:
    job = stack.finished(stack.submit(head_in_pacs, "pacs", model="ich-triage"))
    path = f"/v1/jobs/{job['id']}/results"
    with stack.http() as http:
        assert http.get(path).json()["model"]["name"] == "ich-triage"
        dicom = http.get(path, headers={"Accept": "application/dicom"})
        assert pydicom.dcmread(io.BytesIO(dicom.content)).Modality == "SR"
        assert http.get(path, headers={"Accept": "application/pdf"}).status_code == 406


def test_submit_reads_a_folder(stack: LiveStack, head_ct: Path) -> None:
    document = stack.run("submit", str(head_ct))
    assert document["job"]["state"] == "completed"
    assert document["result"]["model"]["name"] == "ich-triage"


def test_a_pushed_study_is_read_when_it_is_complete(stack: LiveStack, head_ct: Path) -> None:
    files = sorted(head_ct.rglob("*.dcm"))[40:60]
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    boundary = "serinus-test"
    body = b"".join(
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + path.read_bytes() + b"\r\n"
        for path in files
    )
    headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
    with stack.http() as http:
        stored = http.post(
            "/dicom-web/studies", content=body + f"--{boundary}--\r\n".encode(), headers=headers
        )
        assert stored.status_code == 200, stored.text
        assert len(stored.json()["00081199"]["Value"]) == len(files)
        assert http.post(f"/v1/studies/{study}/complete").json()["released"] == 1
        waiting = http.get("/v1/jobs", params={"study_uid": study, "limit": 1}).json()["jobs"]
    assert stack.finished(waiting[0]["id"])["state"] == "completed"
