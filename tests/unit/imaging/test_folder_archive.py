from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.errors import (
    RequestError,
    SourceError,
    StudyError,
    StudyNotFound,
    StudyTooLarge,
    UnsupportedSeries,
)
from imaging.archive import (
    Budget,
    FetchLimits,
    SeriesEntry,
    check_uid,
    wanted_series,
)
from imaging.assemble import to_volume
from imaging.folder import FolderArchive, FolderSource
from imaging.instance import parse_instance
from tests.ct import SERIES, STUDY, ct_series, ct_slice, encoded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "studies"
    (root / "deep" / "er").mkdir(parents=True)
    for index, dataset in enumerate(ct_series(3)):
        (root / "deep" / f"{index}.anything").write_bytes(encoded(dataset))
    other = ct_slice(7, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    (root / "deep" / "er" / "other.dcm").write_bytes(encoded(other))
    sr = ct_slice(8, SeriesInstanceUID=SERIES + "9", Modality="SR", SOPInstanceUID="1.8")
    (root / "report.dcm").write_bytes(encoded(sr))
    (root / "notes.txt").write_text("not DICOM")
    return root


def archive_of(root: Path, **limits: int) -> FolderArchive:
    return FolderArchive(FolderSource("folder", root), FetchLimits(**limits))


async def test_a_study_is_found_by_its_headers_without_its_reports(folder: Path) -> None:
    study = await archive_of(folder).fetch_study(STUDY)
    assert {uid: len(instances) for uid, instances in study.series.items()} == {SERIES: 3}
    assert study.bytes_received > 0


async def test_a_study_and_a_volume_can_be_printed_without_their_patient(folder: Path) -> None:
    study = await archive_of(folder).fetch_study(STUDY)
    assert "CANARY" not in repr(study) + repr(to_volume(study.series[SERIES]))


async def test_a_series_asked_for_by_uid_comes_whatever_its_modality(folder: Path) -> None:
    study = await archive_of(folder).fetch_study(STUDY, series_uids=[SERIES + "9"])
    assert list(study.series) == [SERIES + "9"]


async def test_a_new_file_is_seen_and_a_removed_one_forgotten(folder: Path) -> None:
    archive = archive_of(folder)
    assert len((await archive.fetch_study(STUDY)).series[SERIES]) == 3
    (folder / "new").write_bytes(encoded(ct_slice(3)))
    (folder / "deep" / "0.anything").unlink()
    series = (await archive.fetch_study(STUDY)).series[SERIES]
    assert sorted(int(dataset.InstanceNumber) for dataset in series) == [2, 3, 4]


async def test_where_studies_lie_by_uid_no_other_study_is_looked_at(tmp_path: Path) -> None:
    for uid in (STUDY, "1.9"):
        (tmp_path / uid).mkdir()
        (tmp_path / uid / "1.dcm").write_bytes(encoded(ct_slice(0, StudyInstanceUID=uid)))
    (tmp_path / "1.9" / "elsewhere.dcm").write_bytes(encoded(ct_slice(1)))
    archive = FolderArchive(FolderSource("inbox", tmp_path, by_study=True))
    assert [len(each) for each in (await archive.fetch_study(STUDY)).series.values()] == [1]
    with pytest.raises(StudyNotFound):
        await archive.fetch_study("1.8")


async def test_a_copy_of_an_instance_counts_once(folder: Path) -> None:
    (folder / "copy").write_bytes(encoded(ct_slice(0)))
    assert len((await archive_of(folder).fetch_study(STUDY)).series[SERIES]) == 3


async def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(encoded(ct_slice(0, StudyInstanceUID="1.9")))
    os.symlink(outside, folder / "link.dcm")
    with pytest.raises(StudyNotFound):
        await archive_of(folder).fetch_study("1.9")


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"max_instances": 2}, "more than 2 instances"), ({"max_bytes": 100}, "more than 0 MiB")],
)
async def test_a_study_beyond_the_limits_is_refused(
    folder: Path, limits: dict[str, int], message: str
) -> None:
    with pytest.raises(StudyTooLarge, match=message):
        await archive_of(folder, **limits).fetch_study(STUDY)


async def test_a_study_without_the_modality_says_what_it_has(folder: Path) -> None:
    with pytest.raises(UnsupportedSeries, match="no series of modality MR: the study has 1 CT, 1 SR"):
        await archive_of(folder).fetch_study(STUDY, modalities=["MR"])


@pytest.mark.parametrize(
    "uid", ["../1.2", "1..2", "", "1.2/3", "1." + "2" * 64, "1.2\n", ".", "1.2?x=1", "１.2"]
)
async def test_what_is_not_a_uid_never_reaches_a_path(folder: Path, uid: str) -> None:
    with pytest.raises(RequestError):
        await archive_of(folder).fetch_study(uid)
    with pytest.raises(RequestError):
        check_uid(uid)


def test_a_missing_series_is_not_found_and_not_skipped() -> None:
    with pytest.raises(StudyNotFound, match="1 of the series"):
        wanted_series([SeriesEntry("1.1", "CT")], ["1.1", "1.2"], None)


def test_a_refund_gives_back_what_a_repeated_attempt_spent() -> None:
    budget = Budget(FetchLimits(max_bytes=10, max_instances=1))
    for _ in range(3):
        budget.spend(size=10, instances=1)
        budget.refund(size=10, instances=1)
    with pytest.raises(StudyTooLarge):
        budget.spend(size=11)


def test_garbage_is_an_error_without_its_bytes() -> None:
    with pytest.raises(StudyError) as caught:
        parse_instance(b"SECRET" * 100)
    assert "SECRET" not in str(caught.value)
    assert not isinstance(caught.value, SourceError)


async def test_fetching_does_not_block_the_event_loop(folder: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    await archive_of(folder).fetch_study(STUDY)
    ticker.cancel()
    assert ticks > 1
