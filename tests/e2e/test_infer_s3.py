"""`POST /v1/infer` as an S3-triggered function calls it: once per object, from many at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from imaging.samples.synthetic import make_ct_study
from tests.ct import encoded
from tests.e2e.conftest import NewStack
from tests.recipes import recipe
from tests.stack import LiveStack, eventually
from tests.validators import assert_valid_sr

OBJECTS = 24


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A real S3 interface on loopback; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def s3_stack(new_stack: NewStack, bucket: str) -> LiveStack:
    source = {
        "id": "s3",
        "kind": "s3",
        "allowed_prefixes": ["s3://incoming/"],
        "reports": "s3://results/ai/",
        "endpoint_url": bucket,
    }
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    patience = {"SERINUS_STABLE_AGE_S": "6"}  # for 24 callers at once, however busy the machine is
    return new_stack("s3", source, environment=keys | patience)


def client_of(bucket: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=bucket, **keys)


def contents(bucket: str, name: str) -> dict[str, bytes]:
    """The objects of a bucket by key."""
    s3 = client_of(bucket)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=name).get("Contents", ())]
    return {key: s3.get_object(Bucket=name, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def study(bucket: str, tmp_path: Path) -> tuple[str, list[str]]:
    """A study in the bucket: its UID and the address of each object; one key has a space in it."""
    s3 = client_of(bucket)
    s3.create_bucket(Bucket="incoming")
    s3.create_bucket(Bucket="results")
    datasets = make_ct_study(seed="s3", slices=OBJECTS, size=256)
    uris = []
    for index, dataset in enumerate(datasets):
        path = tmp_path / f"{index}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        key = f"study one/{index:03d}.dcm"
        s3.upload_file(str(path), "incoming", key)
        uris.append(f"s3://incoming/{key}")
    return str(datasets[0].StudyInstanceUID), uris


def test_calls_for_one_study_become_one_job_whose_report_lies_in_the_bucket(
    s3_stack: LiveStack, bucket: str, study: tuple[str, list[str]], tmp_path: Path
) -> None:
    study_uid, uris = study

    def infer(uri: str) -> httpx.Response:
        body = {"study_uid": study_uid, "modality": "CT", "s3_uri": uri, "inference_type": "triage"}
        with s3_stack.http() as http:
            return http.post("/v1/infer", json=body)

    with ThreadPoolExecutor(OBJECTS) as callers:  # a function per object, all at the same time
        answers = list(callers.map(infer, uris))
    assert {answer.status_code for answer in answers} == {200}, [
        a.text for a in answers if a.status_code != 200
    ]
    assert len({answer.headers["X-Serinus-Job"] for answer in answers}) == 1
    assert len({answer.json()["sr_sop_instance_uid"] for answer in answers}) == 1
    answer = answers[0].json()
    assert answer["model"]["name"] == "ich-triage"
    key = f"ai/{study_uid}/{answer['sr_sop_instance_uid']}.dcm"
    report = eventually(lambda: contents(bucket, "results").get(key), 30, "the report in the bucket")
    assert_valid_sr(report, tmp_path)


def test_the_lambda_function_makes_one_job_of_a_study(
    s3_stack: LiveStack, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 tells it of each object on its own, of some twice, and also of a report and a text file."""
    function = recipe("s3_lambda")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    told = {"TRIGGER_URL": f"{s3_stack.settings.api_url}/v1/infer", "TRIGGER_KEY": s3_stack.key}
    for name, value in (keys | told | {"TRIGGER_S3": bucket}).items():
        monkeypatch.setenv(name, value)
    datasets = make_ct_study(seed="lambda", slices=10, size=64)
    report = make_ct_study(seed="lambda report", slices=1, size=8)[0]
    report.Modality = "SR"
    put = {f"a study/{number}+.dcm": encoded(dataset) for number, dataset in enumerate(datasets)}
    put |= {"a study/report.dcm": encoded(report), "a study/read me.txt": b"not DICOM"}
    s3 = boto3.client("s3", endpoint_url=bucket)
    s3.create_bucket(Bucket="incoming")
    for key, content in put.items():
        s3.put_object(Bucket="incoming", Key=key, Body=content)
    events = [s3_event(key) for key in (*put, *list(put)[:3])]
    with ThreadPoolExecutor(len(events)) as invocations:  # as many at once as there are objects
        answers = list(invocations.map(function.handler, events))
    assert sum(answer["told"] for answer in answers) == len(datasets) + 3
    assert sum(answer["passed_over"] for answer in answers) == 2
    assert function.handler({"Records": [event["Records"][0] for event in events]})["passed_over"] == 2
    with s3_stack.http() as http:
        study = str(datasets[0].StudyInstanceUID)
        (job,) = http.get("/v1/jobs", params={"study_uid": study}).json()["jobs"]
    assert job["state"] == "completed"


def s3_event(key: str) -> dict[str, Any]:
    """S3's notification of one object, whose key is encoded as a form."""
    return {
        "Records": [{"s3": {"bucket": {"name": "incoming"}, "object": {"key": quote_plus(key, safe="/")}}}]
    }


@pytest.mark.parametrize("uri", ["http://evil/x", "s3://elsewhere/x.dcm", "s3://incoming/../secret"])
def test_an_object_outside_the_allowed_prefixes_is_refused(s3_stack: LiveStack, uri: str) -> None:
    body = {"study_uid": "1.2.3", "modality": "CT", "s3_uri": uri, "inference_type": "triage"}
    with s3_stack.http() as http:
        answer = http.post("/v1/infer", json=body)
    assert answer.status_code == 422
    assert uri not in answer.text


def test_an_unknown_field_or_type_is_422(s3_stack: LiveStack) -> None:
    body = {"study_uid": "1.2.3", "modality": "CT", "s3_uri": "s3://incoming/x", "inference_type": "guess"}
    with s3_stack.http() as http:
        assert http.post("/v1/infer", json=body).json()["code"] == "invalid-field"
        assert http.post("/v1/infer", json=body | {"inference_type": "triage", "more": 1}).status_code == 422
