"""Against a small server that misbehaves on purpose, over real sockets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from core.errors import PixelsTooLarge, ReportRejected, SerinusError, SourceTimeout, SourceUnavailable
from imaging.archive import FetchLimits, StudyInstances
from imaging.dicomweb import DicomwebArchive, DicomwebSource
from imaging.dicomweb.stow import encode_multipart
from imaging.encoded import to_part10
from imaging.pixel_limits import PixelLimits
from tests.bad_studies.objects import corrupt_deflated
from tests.bad_studies.pixels import deflated
from tests.ct import SERIES, STUDY, ct_series, ct_slice, encoded, files

Answer = tuple[int, dict[str, str], bytes]
Answering = Callable[[str, int], Answer]  # of a path and how often it was asked before


def series_list(instances: int) -> Answer:
    entry = {
        "0020000E": {"vr": "UI", "Value": [SERIES]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00201209": {"vr": "IS", "Value": [instances]},
    }
    return 200, {"Content-Type": "application/dicom+json"}, json.dumps([entry]).encode()


def pixels(count: int, *, cut: int = 0) -> Answer:
    content_type, body = encode_multipart([to_part10(dataset) for dataset in ct_series(count)])
    return 200, {"Content-Type": content_type}, body[: len(body) - cut]


@contextmanager
def server(answer: Answering) -> Iterator[str]:
    asked: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked[path] = asked.get(path, 0) + 1
            status, headers, body = answer(path, asked[path] - 1)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()  # no Content-Length: the connection's end is the body's, as with Orthanc
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


async def fetch_whole(answer: Answering, limits: FetchLimits | None = None) -> StudyInstances:
    with server(answer) as url:
        archive = DicomwebArchive(DicomwebSource("pacs", url), limits)
        try:
            return await archive.fetch_study(STUDY)
        finally:
            await archive.aclose()


async def fetch(answer: Answering, limits: FetchLimits | None = None) -> int:
    study = await fetch_whole(answer, limits)
    return sum(map(len, study.series.values()))


def is_series_list(path: str) -> bool:
    return path.endswith("/series")


async def test_a_cut_answer_is_asked_for_again_and_its_part_not_counted() -> None:
    def answer(path: str, before: int) -> Answer:
        return series_list(3) if is_series_list(path) else pixels(3, cut=0 if before else 900)

    assert await fetch(answer, FetchLimits(max_instances=3)) == 3


async def test_a_busy_archive_is_asked_again() -> None:
    def answer(path: str, before: int) -> Answer:
        if before == 0:
            return 503, {"Retry-After": "0"}, b""
        return series_list(2) if is_series_list(path) else pixels(2)

    assert await fetch(answer) == 2


async def test_objects_that_are_no_dicom_or_of_another_study_are_left_out_and_counted() -> None:
    """Once it was asked for: what was sent is all there is, and asking again would bring the same."""
    other = encoded(ct_slice(7, StudyInstanceUID="1.2.3"))
    content_type, body = encode_multipart(
        [*map(encoded, ct_series(3)), b"no DICOM", corrupt_deflated(), other]
    )
    asked: list[str] = []

    def answer(path: str, before: int) -> Answer:
        asked.append(path)
        return series_list(6) if is_series_list(path) else (200, {"Content-Type": content_type}, body)

    study = await fetch_whole(answer)
    assert sum(map(len, study.series.values())) == 3
    assert study.notes == ("3 objects are no readable DICOM of this study, and left out",)
    assert len(asked) == 2


async def test_a_deflated_bomb_is_refused_and_not_asked_for_again() -> None:
    bomb = deflated(ct_slice(0), b"\xfc\xff\xfc\xffOB\0\0" + (1 << 24).to_bytes(4, "little") + bytes(1 << 24))
    content_type, body = encode_multipart([bomb])

    def answer(path: str, before: int) -> Answer:
        assert before == 0
        return series_list(1) if is_series_list(path) else (200, {"Content-Type": content_type}, body)

    with pytest.raises(PixelsTooLarge):
        await fetch(answer, FetchLimits(pixels=PixelLimits(image_bytes=1 << 20)))


def always_cut(path: str, _: int) -> Answer:
    return series_list(3) if is_series_list(path) else pixels(3, cut=900)


def too_few(path: str, _: int) -> Answer:
    return series_list(4) if is_series_list(path) else pixels(3)


def not_multipart(path: str, _: int) -> Answer:
    return series_list(3) if is_series_list(path) else (200, {"Content-Type": "text/html"}, b"<html>")


def not_json(path: str, _: int) -> Answer:
    return 200, {"Content-Type": "text/html"}, b"<html>sign in</html>"


def broken(path: str, _: int) -> Answer:
    return 500, {}, STUDY.encode()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (always_cut, SourceUnavailable, "ended before its closing delimiter"),
        (too_few, SourceUnavailable, "sent 3 of 4 instances"),
        (not_multipart, SourceUnavailable, "not multipart"),
        (not_json, SourceUnavailable, "not DICOM JSON"),
        (broken, SourceUnavailable, "answered 500"),
    ],
)
async def test_a_failing_archive_is_named_without_the_study(
    answer: Answering, error: type[SerinusError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        await fetch(answer)
    assert STUDY not in str(caught.value)


async def test_a_study_later_than_its_time_limit_is_a_timeout() -> None:
    def answer(path: str, before: int) -> Answer:
        if is_series_list(path):
            return series_list(3)
        time.sleep(0.6)
        return pixels(3)

    with pytest.raises(SourceTimeout, match="within its time limit"):
        await fetch(answer, FetchLimits(timeout_s=0.5))


async def test_a_200_that_stored_nothing_is_a_rejection() -> None:
    with server(lambda path, before: (200, {"Content-Type": "application/dicom+json"}, b"{}")) as url:
        archive = DicomwebArchive(DicomwebSource("pacs", url))
        with pytest.raises(ReportRejected, match="lacks 2 of 2 instances: no reason given"):
            await archive.store(files(ct_series(2)))
        await archive.aclose()


async def test_an_archive_that_hangs_costs_no_more_than_the_deadline_of_the_store() -> None:
    def answer(path: str, before: int) -> Answer:
        time.sleep(1.0)
        return 200, {"Content-Type": "application/dicom+json"}, b"{}"

    (dataset,) = ct_series(1)
    with server(answer) as url:
        archive = DicomwebArchive(DicomwebSource("pacs", url))
        started = time.monotonic()
        with pytest.raises(SourceTimeout):
            await archive.store(files([dataset]), deadline_s=0.2)
        assert time.monotonic() - started < 0.9
        await archive.aclose()
