"""STOW-RS into the inbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from serve_apps.api.problems import Problem
from serve_apps.api.stow import FAILED, OUT_OF_RESOURCES, REFERENCED, Inbox, Received

BOUNDARY = "b0undary"
HEADERS = {"content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'}


def an_instance(study: str = "1.2.3", instance: str = "1.2.3.1") -> bytes:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = CTImageStorage, instance, study
    buffer = pydicom.filebase.DicomBytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return bytes(buffer.parent.getvalue())


async def body_of(*parts: bytes, size: int = 97) -> AsyncIterator[bytes]:
    whole = b"".join(
        b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    whole += b"--b0undary--\r\n"
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


async def receive(root: Path, *parts: bytes, study_uid: str | None = None, limit: int = 1 << 20) -> Received:
    with ThreadPoolExecutor(4) as threads:
        return await Inbox(root, "inbox", limit, threads).receive(HEADERS, body_of(*parts), study_uid)


async def test_an_acknowledged_instance_lies_on_disk(tmp_path: Path) -> None:
    received = await receive(tmp_path, an_instance())
    assert received.status == 200
    assert pydicom.dcmread(tmp_path / "1.2.3" / "1.2.3.1.dcm").SOPInstanceUID == "1.2.3.1"
    assert len(json.loads(received.body())[REFERENCED]["Value"]) == 1


async def test_the_same_push_many_times_at_once_is_stored_once_and_answered_well(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        inbox = Inbox(tmp_path, "inbox", 1 << 20, threads)
        pushes = [inbox.receive(HEADERS, body_of(an_instance()), None) for _ in range(30)]
        received = await asyncio.gather(*pushes)
    assert {each.status for each in received} == {200}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["1.2.3.1.dcm"]


async def test_one_bad_part_does_not_cost_the_good_one(tmp_path: Path) -> None:
    received = await receive(tmp_path, an_instance(), b"this is no DICOM")
    assert received.status == 202
    answer = json.loads(received.body())
    assert len(answer[REFERENCED]["Value"]) == len(answer[FAILED]["Value"]) == 1


async def test_an_instance_of_another_study_than_the_path_names_is_refused(tmp_path: Path) -> None:
    received = await receive(tmp_path, an_instance(study="1.2.3"), study_uid="9.9.9")
    assert received.status == 409
    assert not list(tmp_path.rglob("*.dcm"))


@pytest.mark.parametrize("uid", ["../../evil", "1..2", "1.02"], ids=["a path", "empty part", "leading zero"])
async def test_what_is_no_uid_writes_nothing(tmp_path: Path, uid: str) -> None:
    received = await receive(tmp_path / "inbox", an_instance(study=uid))
    assert received.status == 409
    assert not list(tmp_path.rglob("*.dcm"))


async def test_an_instance_that_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "1.2.3").write_text("no folder of instances can be made here")
    received = await receive(tmp_path, an_instance())
    assert (received.status, [f.reason for f in received.failed]) == (409, [OUT_OF_RESOURCES])


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused:
        await receive(tmp_path, an_instance(), limit=100)
    assert refused.value.status == 413


async def test_a_body_that_is_not_multipart_is_415(tmp_path: Path) -> None:
    headers = {"content-type": "application/json"}
    with pytest.raises(Problem) as refused:
        await Inbox(tmp_path, "inbox", 100, ThreadPoolExecutor(1)).receive(headers, body_of(), None)
    assert refused.value.status == 415


async def test_a_body_that_breaks_off_is_400(tmp_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"--b0undary\r\nContent-Type: application/dicom\r\n\r\nDICM"

    with pytest.raises(Problem) as refused:
        await Inbox(tmp_path, "inbox", 1 << 20, ThreadPoolExecutor(1)).receive(HEADERS, cut(), None)
    assert refused.value.status == 400


def garbled(place: bytes, garbage: bytes) -> bytes:
    """An instance whose bytes behind `place` are others."""
    body = an_instance()
    at = body.index(place) + len(place)
    return body[:at] + garbage + body[at + len(garbage) :]


@pytest.mark.parametrize(
    "body",
    [
        garbled(b"\x02\x00\x10\x00", b"U\xb3"),
        an_instance().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99"),
    ],
    ids=["an unknown value representation", "a value of another length"],
)
async def test_bytes_that_pydicom_cannot_parse_are_a_failed_instance_and_no_error(
    tmp_path: Path, body: bytes
) -> None:
    """It has many ways to say so, and their texts hold the values of tags."""
    with ThreadPoolExecutor(1) as threads:
        received = await Inbox(tmp_path, "inbox", 1 << 20, threads).receive(HEADERS, body_of(body), None)
    assert (received.status, len(received.failed)) == (409, 1)
