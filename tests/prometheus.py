"""A real Prometheus on a free port that scrapes one address."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.orthanc import free_port

STARTS_WITHIN_S = 60.0


class Prometheus:
    """Keeps what it scrapes in `folder/data`, uncompressed in its log; `http` asks it."""

    def __init__(self, folder: Path, target: str, bearer: str = "") -> None:
        self.data = folder / "data"
        port = free_port()
        authorization = f", authorization: {{credentials: '{bearer}'}}" if bearer else ""
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: serinus, static_configs: [{{targets: ['{target}']}}]{authorization}}}]\n"
        )
        self._command = (
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            "--no-storage.tsdb.wal-compression",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5.0)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, with everything on the disk."""
        self.http.close()
        self._process.terminate()
        self._process.wait(10)

    def wait_for_scrapes(self, number: int) -> None:
        """Return after so many scrapes that were answered."""
        end = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < end:
            try:
                asked = {"query": "sum_over_time(up[5m])"}
                answer = self.http.get("/api/v1/query", params=asked).json()
                if any(float(one["value"][1]) >= number for one in answer["data"]["result"]):
                    return
            except httpx.HTTPError:
                pass  # it starts
            time.sleep(0.2)
        raise AssertionError(f"no {number} scrapes within {STARTS_WITHIN_S:g} s")
