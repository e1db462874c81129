"""One Orthanc and one S3 server for the folder; each test starts with them empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from imaging.dicomweb import DicomwebArchive, DicomwebSource
from tests.orthanc import Orthanc


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as server:
        yield server


@pytest.fixture
def pacs(orthanc: Orthanc) -> Orthanc:
    orthanc.clear()
    return orthanc


@pytest.fixture
async def archive(pacs: Orthanc) -> AsyncIterator[DicomwebArchive]:
    opened = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url))
    yield opened
    await opened.aclose()


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket named `images`, and credentials in the environment as boto3 looks for them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = boto3.resource("s3", endpoint_url=s3_url, region_name="us-east-1")
    images = store.create_bucket(Bucket="images")
    images.objects.all().delete()
    return images
