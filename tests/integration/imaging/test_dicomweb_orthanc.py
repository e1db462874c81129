"""Against a real Orthanc."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from core.errors import SourceUnavailable, StudyNotFound, StudyTooLarge, UnsupportedSeries
from imaging.archive import FetchLimits
from imaging.assemble import to_volume
from imaging.dicomweb import DicomwebArchive, DicomwebSource
from imaging.enhanced import frames_of
from tests.ct import SERIES, STUDY, ct_series, ct_slice, encoded, files
from tests.enhanced import enhanced
from tests.orthanc import Orthanc, free_port


def of_series(suffix: str, modality: str, count: int) -> list[Dataset]:
    return [
        ct_slice(
            index,
            SeriesInstanceUID=SERIES + suffix,
            SOPInstanceUID=f"{SERIES}{suffix}.{index}",
            Modality=modality,
        )
        for index in range(count)
    ]


def push(pacs: Orthanc, datasets: list[Dataset]) -> None:
    pacs.push([encoded(dataset) for dataset in datasets])


async def test_a_study_comes_whole_and_bit_exact(pacs: Orthanc, archive: DicomwebArchive) -> None:
    noise = np.random.default_rng(0).integers(-1024, 3000, (7, 64, 48), np.int16)
    sent = [ct_slice(index, pixels=plane) for index, plane in enumerate(noise)]
    push(pacs, sent)
    study = await archive.fetch_study(STUDY)
    assert list(study.series) == [SERIES]
    np.testing.assert_array_equal(to_volume(study.series[SERIES]).voxels, noise)
    assert to_volume(study.series[SERIES]).input_digest == to_volume(sent).input_digest
    early = to_volume(study.series[SERIES], pixel_digests=study.pixel_digests)
    assert len(study.pixel_digests) == 7
    assert early.input_digest == to_volume(sent).input_digest
    assert study.bytes_received > noise.nbytes


async def test_only_wanted_series_move(pacs: Orthanc, archive: DicomwebArchive) -> None:
    push(pacs, ct_series(2) + of_series("2", "CT", 3) + of_series("3", "SR", 1) + of_series("4", "MR", 1))
    assert set((await archive.fetch_study(STUDY)).series) == {SERIES, SERIES + "2", SERIES + "4"}
    assert set((await archive.fetch_study(STUDY, modalities=["CT"])).series) == {SERIES, SERIES + "2"}
    assert set((await archive.fetch_study(STUDY, series_uids=[SERIES + "3"])).series) == {SERIES + "3"}
    with pytest.raises(StudyNotFound, match="1 of the series"):
        await archive.fetch_study(STUDY, series_uids=[SERIES, "1.2.3"])
    with pytest.raises(UnsupportedSeries, match="2 CT, 1 MR, 1 SR"):
        await archive.fetch_study(STUDY, modalities=["CR"])


async def test_an_unknown_study_is_not_found(archive: DicomwebArchive) -> None:
    with pytest.raises(StudyNotFound) as caught:
        await archive.fetch_study("1.2.3.4")
    assert "1.2.3.4" not in str(caught.value)


async def test_a_compressed_series_comes_as_it_is_stored(pacs: Orthanc, archive: DicomwebArchive) -> None:
    plane = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    image = ct_slice(0, pixels=plane)
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    push(pacs, [image])
    (received,) = (await archive.fetch_study(STUDY)).series[SERIES]
    assert received.file_meta.TransferSyntaxUID == JPEGLSLossless
    np.testing.assert_array_equal(to_volume([received]).voxels[0], plane)


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless])
async def test_an_enhanced_series_comes_frame_by_frame(
    pacs: Orthanc, archive: DicomwebArchive, syntax: str | None
) -> None:
    noise = np.random.default_rng(0).integers(-1024, 3000, (7, 64, 48), np.int16)
    images = [ct_slice(index, pixels=plane) for index, plane in enumerate(noise)]
    whole = enhanced(images)
    if syntax:
        whole.compress(syntax, encoding_plugin="pyjpegls", generate_instance_uid=False)
    push(pacs, [whole])
    study = await archive.fetch_study(STUDY)
    read = to_volume(study.series[SERIES], pixel_digests=study.pixel_digests)
    np.testing.assert_array_equal(read.voxels, noise)
    assert read.geometry == to_volume(images).geometry
    assert read.input_digest == to_volume(frames_of(enhanced(images))).input_digest


@pytest.mark.parametrize("limits", [FetchLimits(max_instances=3), FetchLimits(max_bytes=2000)])
async def test_limits_hold(pacs: Orthanc, limits: FetchLimits) -> None:
    push(pacs, ct_series(4))
    archive = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url), limits)
    with pytest.raises(StudyTooLarge):
        await archive.fetch_study(STUDY)
    await archive.aclose()


async def test_a_report_is_stored_once_however_often_it_is_sent(
    pacs: Orthanc, archive: DicomwebArchive
) -> None:
    reports = of_series("9", "SR", 2)
    assert await archive.store(files(reports)) == 2
    assert await archive.store(files(reports)) == 2
    assert pacs.count_instances() == 2
    assert await archive.find_reports(STUDY) == tuple(sorted(str(item.SOPInstanceUID) for item in reports))


async def test_an_instance_the_archive_keeps_its_own_copy_of_counts_as_stored(tmp_path: Path) -> None:
    with Orthanc(tmp_path, overwrite=False) as pacs:
        archive = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url))
        assert [await archive.store(files(ct_series(2))) for _ in range(2)] == [2, 2]
        await archive.aclose()


async def test_credentials_are_sent_and_wrong_ones_named(tmp_path: Path) -> None:
    with Orthanc(tmp_path, users={"ai": "secret"}) as pacs:
        push(pacs, ct_series(1))
        known = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url, username="ai", password="secret"))
        assert list((await known.fetch_study(STUDY)).series) == [SERIES]
        stranger = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url))
        with pytest.raises(SourceUnavailable, match="refuses our credentials"):
            await stranger.fetch_study(STUDY)
        await known.aclose()
        await stranger.aclose()


async def test_a_restarted_pacs_is_read_again_by_the_same_client(tmp_path: Path) -> None:
    with Orthanc(tmp_path) as pacs:
        push(pacs, ct_series(2))
        archive = DicomwebArchive(DicomwebSource("pacs", pacs.dicomweb_url))
        await archive.fetch_study(STUDY)
        pacs.stop()
        with pytest.raises(SourceUnavailable, match="cannot be reached"):
            await archive.fetch_study(STUDY)
        pacs.start()
        assert len((await archive.fetch_study(STUDY)).series[SERIES]) == 2
        await archive.aclose()


async def test_an_archive_that_is_not_there_is_unavailable() -> None:
    archive = DicomwebArchive(DicomwebSource("pacs", f"http://127.0.0.1:{free_port()}/dicom-web"))
    with pytest.raises(SourceUnavailable):
        await archive.fetch_study(STUDY)
    with pytest.raises(SourceUnavailable):
        await archive.store(files(ct_series(1)))
    await archive.aclose()
