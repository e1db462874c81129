from __future__ import annotations

import json

import pytest

from core.errors import ReportRefused, ReportRejected
from imaging.dicomweb.multipart import MultipartSplitter, boundary_of
from imaging.dicomweb.stow import encode_multipart, read_receipt, rejected
from imaging.encoded import to_part10
from tests.ct import STUDY, ct_series


def answer(stored: list[str], reasons: list[int] | None = None) -> bytes:
    return json.dumps(
        {
            "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]},
            "00081198": {
                "vr": "SQ",
                "Value": [{"00081197": {"vr": "US", "Value": [code]}} for code in reasons or []],
            },
        }
    ).encode()


def test_the_body_splits_into_the_part_10_files_again() -> None:
    files = [to_part10(dataset) for dataset in ct_series(3)]
    content_type, body = encode_multipart(files)
    splitter = MultipartSplitter(boundary_of(content_type))
    assert splitter.feed(body) == files
    splitter.close()


def test_each_part_says_exactly_application_dicom() -> None:
    """A transfer-syntax parameter there makes Orthanc 1.10 answer 200 and store nothing."""
    _, body = encode_multipart([b"a file"])
    assert b"\r\nContent-Type: application/dicom\r\n\r\n" in body


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", answer([]), b'{"00081199": {}}', b'{"00081199": null}']
)
def test_a_200_that_lists_nothing_stored_nothing(body: bytes) -> None:
    assert len(read_receipt(200, body, {"1.2.1": "1.2", "1.2.2": "1.2"}).missing) == 2


def test_a_400_may_have_stored_some() -> None:
    receipt = read_receipt(400, answer(["1.2.1"], [272]), {"1.2.1": STUDY, "1.2.2": STUDY})
    assert receipt.missing == ("1.2.2",)
    error = rejected(receipt, receipt.missing)
    assert isinstance(error, ReportRejected)
    assert str(error) == "the archive answered 400 and lacks 1 of 2 instances: 1 x 0110H"
    assert STUDY not in str(error)


@pytest.mark.parametrize(
    ("status", "reasons", "is_final"),
    [
        (409, [0x0110], True),
        (202, [0xC000], True),
        (400, [], True),
        (415, [], True),
        (409, [0xA700], False),  # the archive is full
        (200, [], False),
        (401, [], False),  # a credential that a person can mend
        (429, [], False),
        (500, [0x0110], False),
        (503, [], False),
    ],
)
def test_an_object_that_is_refused_for_good_is_told_from_an_archive_that_is_not_well(
    status: int, reasons: list[int], is_final: bool
) -> None:
    receipt = read_receipt(status, answer([], reasons), {"1.2.1": STUDY})
    assert isinstance(rejected(receipt, receipt.missing), ReportRefused) is is_final
