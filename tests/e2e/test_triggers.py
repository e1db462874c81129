"""The recipes of docs/triggers.md on a real Orthanc that overwrites instances: one study, one reading, one report.

Each announces the study again when the report is stored in it, and nothing goes round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from tests.e2e.pacs import reports_in
from tests.orthanc import Orthanc, dicomweb_plugin, python_plugin
from tests.recipes import RECIPES, recipe
from tests.stack import LiveStack, eventually

STABLE_AGE_S = 1
QUIET_S = 2 * STABLE_AGE_S + 2.0  # Orthanc looks once a second, and announces after the stable age
Start = Callable[..., Orthanc]


@pytest.fixture
def start(stack: LiveStack, announcing_pacs: Orthanc) -> Iterator[Start]:
    """Starts the announcing PACS with more settings; it ends with the test."""
    before = dict(announcing_pacs.settings)

    def started(settings: dict[str, object], environment: dict[str, str] | None = None) -> Orthanc:
        announcing_pacs.settings = {**before, "StableAge": STABLE_AGE_S, "HttpTimeout": 5, **settings}
        announcing_pacs.environment = where_to(stack) | (environment or {})
        announcing_pacs.start()
        return announcing_pacs

    yield started
    announcing_pacs.stop()
    announcing_pacs.settings = before


class AwayAtFirst:
    """Stands before the API: the first call is answered 503, the others go on to `target`."""

    def __init__(self, target: str) -> None:
        self.refused = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: self.headers[name] for name in ("Content-Type", "X-API-Key")}
                if proxy.refused == 0:
                    proxy.refused += 1
                    self.send_error(503)
                    return
                answer = httpx.post(target, content=body, headers=headers, timeout=30)
                self.send_response(answer.status_code)
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> AwayAtFirst:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def where_to(stack: LiveStack) -> dict[str, str]:
    url = f"{stack.settings.api_url}/v1/jobs"
    return {"TRIGGER_URL": url, "TRIGGER_KEY": stack.key, "TRIGGER_SOURCE": "announcing"}


def a_study(folder: Path, seed: str) -> tuple[str, list[Path]]:
    datasets = make_ct_study(seed=seed, slices=10, size=64)
    paths = [folder / f"{index}.dcm" for index in range(len(datasets))]
    for dataset, path in zip(datasets, paths, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return str(datasets[0].StudyInstanceUID), paths


def jobs_of(stack: LiveStack, study: str) -> list[dict[str, Any]]:
    """Oldest first."""
    with stack.http() as http:
        return list(reversed(http.get("/v1/jobs", params={"study_uid": study}).json()["jobs"]))


def settled(stack: LiveStack, study: str, count: int) -> list[dict[str, Any]]:
    """The study's jobs when there are so many, all have finished, and none has come for a while."""

    def finished() -> list[dict[str, Any]] | None:
        jobs = jobs_of(stack, study)
        return jobs if len(jobs) >= count and all(job["finished_at"] for job in jobs) else None

    eventually(finished, 60, f"{count} jobs of the study")
    time.sleep(QUIET_S)
    return jobs_of(stack, study)


def assert_one_reading(stack: LiveStack, pacs: Orthanc, study: str, jobs: list[dict[str, Any]]) -> None:
    first, *later = jobs
    assert [job["state"] for job in jobs] == ["completed"] * len(jobs)
    assert first["same_as"] is None
    assert later, "the stored report made the study stable again"
    assert {job["same_as"] for job in later} == {first["id"]}
    assert len(reports_in(pacs, study)) == 1
    ledger = Ledger.open(stack.settings.ledger)
    decided = [job["id"] for job in jobs if ledger.decisions.of_job(job["id"])]
    ledger.close()
    assert decided == [first["id"]]


def test_the_lua_script_of_an_orthanc_that_overwrites_goes_not_round(
    stack: LiveStack, start: Start, tmp_path: Path
) -> None:
    pacs = start({"LuaScripts": [str(RECIPES / "orthanc.lua")]})
    study, files = a_study(tmp_path, "lua")
    pacs.push(files)
    jobs = settled(stack, study, 2)
    assert len(jobs) == 2, "one for the images, one for the report"
    assert_one_reading(stack, pacs, study, jobs)
    pacs.push(files)  # the modality sends it all again
    jobs = settled(stack, study, 3)
    assert len(jobs) == 3
    assert_one_reading(stack, pacs, study, jobs)
    explained = stack.run("explain", jobs[-1]["id"])
    assert explained["same_as"] == jobs[0]["id"]
    assert explained["decisions"][0]["row"]["role"] == "answered"


def test_the_python_plugin_announces_a_study_until_it_is_taken(
    stack: LiveStack, start: Start, tmp_path: Path
) -> None:
    script = str(RECIPES / "orthanc_plugin.py")
    plugins = [str(dicomweb_plugin()), str(python_plugin())]
    with AwayAtFirst(where_to(stack)["TRIGGER_URL"]) as proxy:
        pacs = start({"Plugins": plugins, "PythonScript": script}, {"TRIGGER_URL": proxy.url})
        study, files = a_study(tmp_path, "plugin")
        pacs.push(files)
        jobs = settled(stack, study, 2)
    assert proxy.refused == 1
    assert len(jobs) == 2
    assert_one_reading(stack, pacs, study, jobs)


def test_the_poller_announces_what_has_stopped_growing(
    stack: LiveStack, start: Start, tmp_path: Path
) -> None:
    poller = recipe("pacs_poller")
    pacs = start({})
    pacs.clear()
    study, files = a_study(tmp_path, "poller")
    environment = where_to(stack) | {"TRIGGER_PACS": pacs.dicomweb_url, "TRIGGER_DATES": "19000101-"}
    state = tmp_path / "state.json"

    def look() -> None:
        poller.remember(state, poller.look(poller.remembered(state), environment))

    pacs.push(files[:5])
    look()
    pacs.push(files[5:])
    look()
    assert jobs_of(stack, study) == [], "it grows"
    look()
    look()
    eventually(lambda: reports_in(pacs, study) or None, 60, "the report")
    assert len(jobs_of(stack, study)) == 1
    look()
    look()
    look()
    jobs = settled(stack, study, 2)
    assert len(jobs) == 2
    assert_one_reading(stack, pacs, study, jobs)
    assert state.stat().st_mode & 0o077 == 0
