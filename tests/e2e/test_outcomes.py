"""How a study can end other than well, and who is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from imaging.samples.synthetic import make_ct_study
from ledger import Audience, Ledger
from tests.orthanc import Orthanc
from tests.receiver import Receiver
from tests.stack import LiveStack, eventually
from tests.validators import assert_valid_seg, assert_valid_sr


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(refusals=1) as made:
        yield made


def stored(pacs: Orthanc, folder: Path, datasets: list[Dataset]) -> str:
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    pacs.push(paths)
    return str(datasets[0].StudyInstanceUID)


def waited(stack: LiveStack, **body: Any) -> tuple[int, dict[str, Any]]:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
    return answer.status_code, answer.json()


def test_a_callback_is_signed_and_repeated_until_it_is_taken(
    stack: LiveStack, pacs: Orthanc, receiver: Receiver, tmp_path: Path
) -> None:
    study = stored(pacs, tmp_path, make_ct_study(seed="callback", size=128))
    job = stack.submit(study, "pacs", model="ich-triage", callback=receiver.url)
    assert stack.finished(job)["undelivered"] == []
    assert len(receiver.calls) == 2
    (first, _), (headers, body) = receiver.calls
    assert first["webhook-id"] == headers["webhook-id"]
    key = stack.settings.paths.callback_key.read_text().strip().encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["job"] == job


def test_a_missing_slice_is_422_and_says_where(stack: LiveStack, pacs: Orthanc, tmp_path: Path) -> None:
    datasets = make_ct_study(seed="gap", size=64)
    del datasets[10:13]
    status, problem = waited(
        stack, study_uid=stored(pacs, tmp_path, datasets), source="pacs", model="ich-triage"
    )
    assert (status, problem["code"]) == (422, "geometry-invalid")
    assert "mm" in problem["detail"]


def test_a_study_that_no_model_reads_is_422_with_the_reasons(
    stack: LiveStack, pacs: Orthanc, tmp_path: Path
) -> None:
    datasets = make_ct_study(seed="few", size=64, slices=3)
    status, problem = waited(stack, study_uid=stored(pacs, tmp_path, datasets), source="pacs")
    assert (status, problem["code"]) == (422, "no-eligible-series")
    assert "3 slices, at least 8 needed" in problem["detail"]


def test_a_child_is_outside_the_intended_use_and_the_pacs_is_told_that_nothing_was_read(
    stack: LiveStack, pacs: Orthanc, receiver: Receiver, tmp_path: Path
) -> None:
    datasets = make_ct_study(seed="child", size=64)
    for dataset in datasets:
        dataset.PatientAge = "007Y"
    study, before = stored(pacs, tmp_path, datasets), pacs.count_instances()
    status, problem = waited(
        stack,
        study_uid=study,
        source="pacs",
        model="ich-triage",
        outputs=["json", "sr", "failure-sr"],
        callback=receiver.url,
        context={"ward": "children's ward"},
    )
    assert (status, problem["code"]) == (422, "outside-intended-use")
    assert "7" not in problem["detail"].replace("18", "")

    assert eventually(lambda: pacs.count_instances() == before + 1 or None, 30, "an SR of the failure")
    with stack.http() as http:
        wanted = {"params": {"document": "failure-sr"}, "headers": {"Accept": "application/dicom"}}
        document = http.get(f"/v1/jobs/{problem['job']}/results", **wanted).content
        (_, said) = http.get(f"/v1/jobs/{problem['job']}/explain").json()["end"][-2:]
    assert said == "An SR in the archive says so."
    assert "No algorithms succeeded" in assert_valid_sr(document, tmp_path)
    told = eventually(lambda: receiver.calls[1:] or None, 30, "a callback that is taken")[0][1]
    assert json.loads(told)["error"]["code"] == "outside-intended-use"
    assert json.loads(told)["context"] == {"ward": "children's ward"}


def test_a_waiting_study_can_be_cancelled_and_whoever_asked_is_called_back(
    stack: LiveStack, pacs: Orthanc, receiver: Receiver
) -> None:
    pacs.stop()
    try:
        job = stack.submit("2.25.77", "pacs", model="ich-triage", callback=receiver.url)
        with stack.http() as http:
            cancelled = eventually(
                lambda: http.delete(f"/v1/jobs/{job}").json().get("state") == "canceled" or None,
                30,
                "a cancel",
            )
            assert cancelled
            assert http.get(f"/v1/jobs/{job}/results").json()["code"] == "canceled"
            assert http.delete(f"/v1/jobs/{job}").json()["code"] == "not-cancelable"
    finally:
        pacs.start()
    told = eventually(lambda: receiver.calls[1:] or None, 30, "a callback that is taken")[0][1]
    assert (json.loads(told)["job"], json.loads(told)["state"]) == (job, "canceled")


def heard(stack: LiveStack, number: int, **headers: str) -> list[tuple[str, str]]:
    """The ids and sentences of the first events of a stream, which is then broken off."""
    found: list[tuple[str, str]] = []
    with stack.http() as http:
        asked = {"Accept": "text/event-stream", **headers}
        with http.stream("GET", "/v1/events", headers=asked) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            last = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                last = value if name == "id" else last
                if name == "data":
                    found.append((last, json.loads(value)["escalation"]["sentence"]))
                if len(found) == number:
                    return found
    return found


def test_a_listener_that_lost_its_connection_goes_on_after_the_last_event_that_it_heard(
    stack: LiveStack,
) -> None:
    """Through Serve's proxy, as a browser's EventSource does it."""
    job = stack.submit("2.25.7801", "samples", model="ich-triage")
    ledger = Ledger.open(stack.settings.ledger)
    try:
        before = max((event.sequence for event in ledger.escalations.since(0, 10**6)), default=0)
        for sentence in ("first", "second"):
            ledger.escalations.record(job, {"code": sentence, "sentence": sentence}, Audience.CALLER)
        (heard_first,) = heard(stack, 1, **{"Last-Event-ID": str(before)})
        ledger.escalations.record(job, {"code": "third", "sentence": "third"}, Audience.CALLER)
        then = heard(stack, 2, **{"Last-Event-ID": heard_first[0]})
    finally:
        ledger.close()
    assert [sentence for _, sentence in (heard_first, *then)] == ["first", "second", "third"]
    with stack.http() as http:
        page = http.get("/v1/events", params={"cursor": heard_first[0]}).json()
    assert [str(event["sequence"]) for event in page["events"]] == [sequence for sequence, _ in then]


@pytest.mark.parametrize(
    ("sample", "model"),
    [("head-ct", "ich-triage"), ("chest-cr", "chest-film-qa"), ("brain-mr-colin", "brain-volume")],
)
def test_the_reports_of_each_demo_model_are_valid_dicom(
    stack: LiveStack, tmp_path: Path, sample: str, model: str
) -> None:
    """By `dciodvfy` and `dsrdump`, the SEG included: the maker of the brain model has an umlaut in its name."""
    (study,) = stack.run("samples", "--only", sample)  # type: ignore[misc]
    document = stack.run("submit", study["study_uid"], "--model", model, "--seg")  # type: ignore[index]
    files = {kind: Path(path).read_bytes() for kind, path in document["documents"].items()}
    assert document["result"]["model"]["name"] == model
    assert document["result"]["model"]["name"] in assert_valid_sr(files["sr"], tmp_path)
    assert ("seg" in files) == (model == "brain-volume")
    if "seg" in files:
        assert_valid_seg(files["seg"], tmp_path)
        (volume,) = document["result"]["measurements"]
        assert 1900 < volume["value"] < 2000
        assert len(files["seg"]) > 100_000
