"""Every query of the dashboard is answered by a real Prometheus that scrapes us, and promtool tests the alerts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

import httpx
import pytest

from observability.dashboard.draw import lines_of
from observability.dashboard.panels import PANELS, Panel
from observability.metrics import instruments as of
from observability.metrics.exposition import CONTENT_TYPE, Gauges, exposition_of
from observability.metrics.funnel import Step, StudyMark, observations_of_mark
from observability.metrics.of_records import observations_of
from observability.metrics.series import Observation, folded
from observability.record import Outcome, StudyTrace
from tests.prometheus import Prometheus
from tests.unit.observability.metrics.test_exposition import KEY, LIVE, SECOND, SHADOW

RULES = Path(__file__).parents[3] / "deploy" / "prometheus"
BEGUN = time.time_ns()
ON_A_GPU = tuple(replace(one, device="cuda:0", gpu_busy=0.5, gpu_memory=0.5) for one in LIVE.records)
READ = replace(LIVE, start_ns=BEGUN, end_ns=BEGUN + 5 * SECOND, records=ON_A_GPU)
FAILED = StudyTrace(KEY, BEGUN, BEGUN + SECOND, Outcome.FAILED, error_code="source-unavailable")
NOW = [
    Gauges(of.JOBS, {("running",): 2}),
    Gauges(of.QUEUED, {("routine",): 3}),
    Gauges(of.OLDEST_QUEUED, {("routine",): 40.0}),
    Gauges(of.REPLICAS, {("ich-triage", "2"): 1}),
    Gauges(of.PENDING_SHADOWS, {("ich-triage", "2"): 3}),
    Gauges(of.OLDEST_SHADOW, {(): 12.0}),
    Gauges(of.DEAD_LETTERS, {(): 0}),
    Gauges(of.VARIANTS, {("ich-triage", "1", "champion", "warm"): 1}),
    Gauges(of.ROLLOUT_WEIGHT, {("ich-triage", "2", "Progressing"): 0.05}),
    Gauges(of.ALARMS, {(): 0}),
    Gauges(of.COST_TODAY, {("primary", "ich-triage", "champion"): 0.3, ("idle", "ich-triage", ""): 0.7}),
    Gauges(of.BILL_TODAY, {("cpu-core",): 1.0}),
    Gauges(of.REPLICAS_WANTED, {("ich-triage", "2"): 2}),
    Gauges(of.DRIFT_STATE, {("ich-triage", "2", "quiet"): 1}),
    Gauges(of.DRIFT_ARMED, {("ich-triage", "2", "noise_hu"): 1}),
    Gauges(of.DRIFT_EVIDENCE, {("ich-triage", "2", "noise_hu"): -0.4}),
    Gauges(of.DRIFT_LIMIT, {("ich-triage", "2"): 3.6}),
    Gauges(of.DRIFT_PSI, {("ich-triage", "2", "noise_hu"): 0.01}),
]


def mark_of(step: Step) -> StudyMark:
    return StudyMark(KEY, "ich-triage", step, "routine", 90.0)


class Site(BaseHTTPRequestHandler):
    """A site at which three more studies ended at each scrape."""

    scrapes = count(1)

    def do_GET(self) -> None:
        scrape = next(self.scrapes)
        ended = [READ, SHADOW, FAILED] * scrape
        seen = [one for trace in ended for one in observations_of(trace, trace.trace_id)]
        came = [one for step in Step for one in observations_of_mark(mark_of(step), 0.0)] * scrape
        errors = [Observation(of.API_ERRORS, ("job-not-found", "404"), scrape)]
        series = folded({}, [*seen, *came, *errors], 10**6)
        body = exposition_of(series, NOW, of.OF_RECORDS).encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def prometheus(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Has scraped the site three times."""
    with Prometheus(tmp_path_factory.mktemp("prometheus"), site) as prometheus:
        prometheus.wait_for_scrapes(3)
        yield prometheus.http


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_has_data(prometheus: httpx.Client, panel: Panel) -> None:
    now_s = time.time()
    for query in panel.queries:
        assert lines_of(prometheus, query, now_s - 60, now_s), query.expr


def test_a_slow_bucket_leads_to_its_trace(prometheus: httpx.Client) -> None:
    now_s = time.time()
    asked = {
        "query": "serinus_study_duration_seconds_bucket",
        "start": str(now_s - 600),
        "end": str(now_s + 60),
    }
    found = prometheus.get("/api/v1/query_exemplars", params=asked).json()["data"]
    assert {one["labels"]["trace_id"] for series in found for one in series["exemplars"]} == {
        READ.trace_id,
        FAILED.trace_id,
    }


@pytest.mark.parametrize(
    "command", [("check", "rules", "serinus.rules.yaml"), ("test", "rules", "serinus.rules.test.yaml")]
)
def test_promtool_finds_nothing_wrong_with_the_alerts(command: tuple[str, ...]) -> None:
    done = subprocess.run(("promtool", *command), cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr
