"""Against moto's S3 server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest

from core.errors import (
    ReportRejected,
    RequestError,
    SourceUnavailable,
    StudyError,
    StudyNotFound,
    StudyTooLarge,
)
from imaging.archive import FetchLimits
from imaging.assemble import to_volume
from imaging.object_store import ObjectArchive, ObjectSource
from tests.bad_studies.objects import corrupt_deflated
from tests.ct import SERIES, STUDY, ct_series, ct_slice, encoded, files
from tests.enhanced import enhanced
from tests.orthanc import free_port


def source(url: str) -> ObjectSource:
    return ObjectSource("lake", ("s3://images/in",), endpoint_url=url, region="us-east-1")


@pytest.fixture
async def archive(bucket: Any, s3_url: str) -> AsyncIterator[ObjectArchive]:
    for index, dataset in enumerate(ct_series(4)):
        bucket.put_object(Key=f"in/{STUDY}/{index}", Body=encoded(dataset))
    other = ct_slice(0, StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4")
    bucket.put_object(Key="in/mixed/other one.dcm", Body=encoded(other))
    bucket.put_object(Key="in/mixed/slice (1).dcm", Body=encoded(ct_slice(0)))
    bucket.put_object(Key="inside/secret.dcm", Body=encoded(ct_slice(0)))
    opened = ObjectArchive(source(s3_url))
    yield opened
    await opened.aclose()


async def test_a_study_lies_below_its_uid(archive: ObjectArchive) -> None:
    study = await archive.fetch_study(STUDY, modalities=["CT"])
    assert {uid: len(instances) for uid, instances in study.series.items()} == {SERIES: 4}
    assert study.bytes_received == sum(len(encoded(dataset)) for dataset in ct_series(4))
    with pytest.raises(StudyNotFound):
        await archive.fetch_study("1.9.9")


async def test_an_enhanced_series_comes_frame_by_frame(archive: ObjectArchive, bucket: Any) -> None:
    images = ct_series(5, StudyInstanceUID="1.2.9")
    bucket.put_object(Key="in/1.2.9/whole.dcm", Body=encoded(enhanced(images)))
    study = await archive.fetch_study("1.2.9")
    np.testing.assert_array_equal(to_volume(study.series[SERIES]).voxels, to_volume(images).voxels)


async def test_a_report_lies_in_the_bucket_once_however_often_it_is_stored(bucket: Any, s3_url: str) -> None:
    place = ObjectSource("lake", ("s3://images/in",), s3_url, "us-east-1", "s3://images/reports")
    archive = ObjectArchive(place)
    (report,) = files([ct_slice(0, Modality="SR")])
    for _ in range(2):
        await archive.store(report)
    (stored,) = bucket.objects.all()
    assert stored.key == f"reports/{STUDY}/{report.instance_uid}.dcm"
    assert stored.get()["Body"].read() == report.content
    await archive.aclose()


async def test_a_report_for_a_bucket_that_is_missing_or_away_is_not_stored(bucket: Any, s3_url: str) -> None:
    (report,) = files([ct_slice(0, Modality="SR")])
    nowhere = f"http://127.0.0.1:{free_port()}"
    for url, error in ((s3_url, ReportRejected), (nowhere, SourceUnavailable)):
        archive = ObjectArchive(ObjectSource("lake", ("s3://images/in",), url, "us-east-1", "s3://nowhere/"))
        with pytest.raises(error) as raised:
            await archive.store(report)
        assert STUDY not in raised.value.detail
        await archive.aclose()


async def test_junk_among_the_objects_is_left_out_and_counted(archive: ObjectArchive, bucket: Any) -> None:
    bucket.put_object(Key=f"in/{STUDY}/readme.txt", Body=b"no DICOM")
    bucket.put_object(Key=f"in/{STUDY}/corrupt.dcm", Body=corrupt_deflated())
    study = await archive.fetch_study(STUDY, modalities=["CT"])
    assert [len(instances) for instances in study.series.values()] == [4]
    assert study.notes == ("2 objects are no readable DICOM of this study, and left out",)


async def test_nothing_but_junk_is_an_unreadable_study(archive: ObjectArchive, bucket: Any) -> None:
    bucket.put_object(Key="in/1.9.9/readme.txt", Body=b"no DICOM")
    with pytest.raises(StudyError, match="1 object is no readable DICOM"):
        await archive.fetch_study("1.9.9")


async def test_objects_of_other_studies_are_dropped(archive: ObjectArchive) -> None:
    study = await archive.fetch_objects(["s3://images/in/mixed/"], STUDY)
    assert [len(instances) for instances in study.series.values()] == [1]


@pytest.mark.parametrize("key", ["in/mixed/slice (1).dcm", quote_plus("in/mixed/slice (1).dcm", safe="/")])
async def test_a_key_is_found_plain_and_as_an_event_encodes_it(archive: ObjectArchive, key: str) -> None:
    study = await archive.fetch_objects([f"s3://images/{key}"], STUDY)
    assert list(study.series) == [SERIES]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://images/inside/secret.dcm", "s3://images/secret", "s3://other/in/x", "s3://images/in/../inside/secret.dcm",
        "http://images/in/x", "s3:///in/x", "s3://images/in/%2e%2e/inside/secret.dcm", "file:///in/x", "s3://images/",
    ],
)  # fmt: skip
async def test_nothing_outside_the_allowed_prefix_is_read(archive: ObjectArchive, uri: str) -> None:
    with pytest.raises((RequestError, StudyNotFound)) as caught:
        await archive.fetch_objects([uri], STUDY)
    assert uri not in str(caught.value)


async def test_limits_hold_before_and_while_objects_move(archive: ObjectArchive, s3_url: str) -> None:
    for limits in (FetchLimits(max_instances=3), FetchLimits(max_bytes=3000)):
        narrow = ObjectArchive(source(s3_url), limits)
        with pytest.raises(StudyTooLarge):
            await narrow.fetch_study(STUDY)
        await narrow.aclose()


async def test_a_store_that_is_not_there_is_unavailable(bucket: Any) -> None:
    absent = ObjectArchive(source(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(SourceUnavailable):
        await absent.fetch_study(STUDY)
    await absent.aclose()


async def test_an_unknown_bucket_is_named_by_its_code_alone(bucket: Any, s3_url: str) -> None:
    nowhere = ObjectArchive(ObjectSource("lake", ("s3://nowhere/",), endpoint_url=s3_url, region="us-east-1"))
    with pytest.raises(SourceUnavailable, match="answered NoSuchBucket"):
        await nowhere.fetch_study(STUDY)
    await nowhere.aclose()
