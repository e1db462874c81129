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
from imaging.samples.synthetic import make_ct_study
from serve_apps.adapters.archives import Archives
from serve_apps.adapters.report_store import ReportStores
from serve_apps.settings import INBOX, FolderSourceSettings, Settings

(DATASET,) = make_ct_study("report", slices=1, size=8)
CONTENT = to_part10(DATASET)
NAME = Path(str(DATASET.StudyInstanceUID)) / f"{DATASET.SOPInstanceUID}.dcm"


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


@pytest.mark.parametrize("source", ["archive", INBOX])
async def test_a_source_without_a_place_for_reports_uses_the_sites_folder(
    tmp_path: Path, executor: ThreadPoolExecutor, source: str
) -> None:
    await stores(tmp_path, executor).store(source, CONTENT, 1.0)
    assert (tmp_path / "state" / "reports" / NAME).read_bytes() == CONTENT


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
