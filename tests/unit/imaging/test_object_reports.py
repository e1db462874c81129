"""What an object store answers decides whether a report is tried again, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from core.errors import ReportRefused, ReportRejected, SerinusError, SourceTimeout, SourceUnavailable
from core.retry import FailureClass
from imaging.object_location import parse_prefix
from imaging.object_reports import BucketReports
from tests.ct import STUDY, ct_slice, files

(REPORT,) = files([ct_slice(0, Modality="SR")])


class Store:
    """Answers every call with an error, or keeps the object."""

    def __init__(self, answer: Exception | None = None) -> None:
        self.answer = answer
        self.put: list[dict[str, Any]] = []

    def put_object(self, **request: Any) -> None:
        if self.answer is not None:
            raise self.answer
        self.put.append(request)


def answered(status: int, code: str) -> ClientError:
    said = {
        "Error": {"Code": code, "Message": f"of {STUDY}"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(said, "PutObject")  # type: ignore[arg-type]


def test_a_report_lies_below_its_study_under_its_own_name() -> None:
    store = Store()
    BucketReports(store, parse_prefix("s3://results/ai")).put(REPORT)
    assert store.put == [
        {
            "Bucket": "results",
            "Key": f"ai/{STUDY}/{REPORT.instance_uid}.dcm",
            "Body": REPORT.content,
            "ContentType": "application/dicom",
        }
    ]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered(503, "SlowDown"), SourceUnavailable),
        (answered(500, "InternalError"), SourceUnavailable),
        (answered(429, "Throttling"), SourceUnavailable),
        (answered(400, "RequestTimeout"), SourceUnavailable),
        (answered(0, "a code with spaces"), ReportRejected),
        (EndpointConnectionError(endpoint_url=f"http://s3/{STUDY}"), SourceUnavailable),
        (ConnectTimeoutError(endpoint_url=f"http://s3/{STUDY}"), SourceTimeout),
        (ReadTimeoutError(endpoint_url=f"http://s3/{STUDY}"), SourceTimeout),
        (answered(403, "AccessDenied"), ReportRejected),
        (answered(404, "NoSuchBucket"), ReportRejected),
        (answered(400, "ExpiredToken"), ReportRejected),
        (answered(400, "EntityTooLarge"), ReportRefused),
        (answered(400, "InvalidRequest"), ReportRefused),
    ],
)
def test_an_error_says_whether_it_may_pass_and_names_no_study(answer: Exception, kind: type) -> None:
    with pytest.raises(SerinusError) as raised:
        BucketReports(Store(answer), parse_prefix("s3://results/")).put(REPORT)
    assert type(raised.value) is kind
    assert STUDY not in raised.value.detail
    in_vain = raised.value.failure is not FailureClass.SOURCE_AWAY
    assert in_vain is (kind is ReportRefused)
