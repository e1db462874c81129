"""`POST /v1/infer` as an S3-triggered function calls it: once per object, from many at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from imaging.samples.synthetic import make_ct_study
from tests.e2e.conftest import NewStack
from tests.stack import LiveStack

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
    source = {"id": "s3", "kind": "s3", "allowed_prefixes": ["s3://incoming/"], "endpoint_url": bucket}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return new_stack("s3", source, environment=keys)


@pytest.fixture
def study(bucket: str, tmp_path: Path) -> tuple[str, list[str]]:
    """A study in the bucket: its UID and the address of each object; one key has a space in it."""
    s3 = boto3.client(
        "s3",
        endpoint_url=bucket,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="incoming")
    datasets = make_ct_study(seed="s3", slices=OBJECTS, size=256)
    uris = []
    for index, dataset in enumerate(datasets):
        path = tmp_path / f"{index}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        key = f"study one/{index:03d}.dcm"
        s3.upload_file(str(path), "incoming", key)
        uris.append(f"s3://incoming/{key}")
    return str(datasets[0].StudyInstanceUID), uris


def test_calls_for_one_study_become_one_job(s3_stack: LiveStack, study: tuple[str, list[str]]) -> None:
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
    assert answers[0].json()["model"]["name"] == "ich-triage"


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
