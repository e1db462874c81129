"""A report reaches its source byte for byte, and one that cannot be filed is rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from core.errors import ReportRejected
from imaging.encoded import EncodedInstance, to_part10
from imaging.folder import OWN_FOLDER, FolderArchive, FolderSource
from imaging.object_location import parse_prefix
from imaging.object_reports import BucketReports
from imaging.object_store import ObjectArchive
from imaging.samples.synthetic import make_ct_study
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.report_store import ReportStores
from serve_apps.settings import INBOX, FolderSourceSettings, ObjectSourceSettings, Settings

(DATASET,) = make_ct_study("report", slices=1, size=8)
CONTENT = to_part10(DATASET)
NAME = Path(str(DATASET.StudyInstanceUID)) / f"{DATASET.SOPInstanceUID}.dcm"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else boto3 looks for some on the network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


class Bucket:
    """A client of an object store that keeps what it is given, and the archives of a site that has it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self.objects[Bucket, Key] = Body

    def as_archives(self) -> Archives:
        source = ObjectSourceSettings(
            id="bucket", kind="s3", allowed_prefixes=("s3://in/",), region="us-east-1", reports="s3://ai/out"
        )
        archives = Archives(Settings(sources=(source,)))
        archive = archives.of("bucket")
        assert isinstance(archive, ObjectArchive)
        archive.reports = BucketReports(self, parse_prefix("s3://ai/out"))
        return archives


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def stores(tmp_path: Path, executor: ThreadPoolExecutor, reports: Path | None = None) -> ReportStores:
    source = FolderSourceSettings(id="archive", kind="folder", root=tmp_path / "in", reports=reports)
    settings = Settings(state_dir=tmp_path / "state", sources=(source,))
    return ReportStores(Archives(settings), settings.paths.reports, executor)


async def test_a_report_lies_beside_its_folder_byte_for_byte(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    store = stores(tmp_path, executor, tmp_path / "out")
    for _ in range(2):
        await store.store("archive", CONTENT, 1.0)
    assert [path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")] == [CONTENT]
    assert (tmp_path / "out" / NAME).exists()


async def test_without_a_place_of_its_own_a_folders_reports_lie_beside_its_studies_and_are_no_study(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "image.dcm").write_bytes(CONTENT)
    await stores(tmp_path, executor).store("archive", CONTENT, 1.0)
    assert (tmp_path / "in" / OWN_FOLDER / NAME).read_bytes() == CONTENT
    study = await FolderArchive(FolderSource("archive", tmp_path / "in")).fetch_study(
        str(DATASET.StudyInstanceUID)
    )
    assert study.bytes_received == len(CONTENT), "the report was read as if it were of the study"


@pytest.mark.parametrize("source", [INBOX, "bucket"])
async def test_a_source_without_a_place_for_reports_uses_the_sites_folder(
    tmp_path: Path, executor: ThreadPoolExecutor, source: str
) -> None:
    bucket = ObjectSourceSettings(id="bucket", kind="s3", allowed_prefixes=("s3://in/",), region="us-east-1")
    settings = Settings(state_dir=tmp_path / "state", sources=(bucket,))
    await ReportStores(Archives(settings), settings.paths.reports, executor).store(source, CONTENT, 1.0)
    assert (tmp_path / "state" / "reports" / NAME).read_bytes() == CONTENT


async def test_a_bucket_with_a_place_for_reports_gets_them(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    bucket = Bucket()
    store = ReportStores(bucket.as_archives(), tmp_path, executor)
    await store.store("bucket", CONTENT, 1.0)
    assert bucket.objects == {("ai", f"out/{NAME}"): CONTENT}
    assert not list(tmp_path.iterdir())


async def test_a_folder_that_cannot_be_written_rejects_the_report_without_its_path(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(ReportRejected) as rejection:
        await stores(tmp_path, executor, tmp_path / "out").store("archive", CONTENT, 1.0)
    assert str(DATASET.StudyInstanceUID) not in rejection.value.detail


async def test_a_folder_that_hangs_holds_up_no_other(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    hangs = FolderSourceSettings(id="hangs", kind="folder", root=tmp_path, reports=tmp_path / "hangs")
    works = FolderSourceSettings(id="works", kind="folder", root=tmp_path, reports=tmp_path / "works")
    settings, is_back, written = Settings(state_dir=tmp_path, sources=(hangs, works)), Event(), []

    def write(folder: Path, report: EncodedInstance) -> None:
        if folder.name == "hangs":
            is_back.wait(10)
        written.append(folder.name)

    store = ReportStores(Archives(settings), settings.paths.reports, executor, write)
    hanging = [asyncio.create_task(store.store("hangs", CONTENT, 1.0)) for _ in range(4)]
    try:
        await asyncio.wait_for(store.store("works", CONTENT, 1.0), 5)
        assert written == ["works"]
    finally:
        is_back.set()
        await asyncio.gather(*hanging)
        store.close()
