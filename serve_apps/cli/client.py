"""A small client of our own HTTP API, for the command line and the demo."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from serve_apps.settings import Settings

JSON = Mapping[str, Any]


class ApiError(RuntimeError):
    """A problem that the API answered with; the text is its detail, `code` the stable code."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


class ApiClient:
    """Talks to one stack with one key."""

    def __init__(self, base_url: str, key: str, timeout_s: float = 60.0, actor: str | None = None) -> None:
        headers = {"X-API-Key": key} | ({"X-Serinus-Actor": actor} if actor else {})
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s)

    @classmethod
    def of(cls, settings: Settings, actor: str | None = None) -> ApiClient:
        return cls(settings.api_url, settings.paths.api_key.read_text().strip(), actor=actor)

    def ask(self, method: str, path: str, body: JSON | None = None) -> JSON:
        """Any request; raises ApiError."""
        return self._json(self._http.request(method, path, json=None if body is None else dict(body)))

    def submit(self, body: JSON, idempotency_key: str | None = None, variant: str | None = None) -> JSON:
        wished = {"Idempotency-Key": idempotency_key, "X-Serinus-Variant": variant}
        headers = {name: value for name, value in wished.items() if value}
        return self._json(self._http.post("/v1/jobs", json=dict(body), headers=headers))

    def job(self, job_id: str, wait_s: float = 0.0) -> JSON:
        return self._json(self._http.get(f"/v1/jobs/{job_id}", params={"wait": wait_s}))

    def result(self, job_id: str) -> JSON:
        return self._json(self._http.get(f"/v1/jobs/{job_id}/results"))

    def document(self, job_id: str, kind: str = "sr") -> bytes:
        answer = self._http.get(
            f"/v1/jobs/{job_id}/results", params={"document": kind}, headers={"Accept": "application/dicom"}
        )
        self._raise(answer)
        return answer.content

    def models(self) -> JSON:
        return self._json(self._http.get("/v1/models"))

    def queue(self) -> JSON:
        return self._json(self._http.get("/v1/queue"))

    def follow(self, job_id: str, seen: Callable[[JSON], None], poll_s: float = 0.1) -> JSON:
        """Poll until the job has finished, showing each state to `seen`."""
        while True:
            job = self.job(job_id)
            seen(job)
            if job["state"] in ("completed", "failed", "canceled"):
                return job
            time.sleep(poll_s)

    def _json(self, answer: httpx.Response) -> JSON:
        self._raise(answer)
        found: JSON = answer.json() if answer.content else {}
        return found

    def _raise(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        try:
            problem = answer.json()
            raise ApiError(str(problem["code"]), str(problem["detail"]))
        except (ValueError, KeyError):
            raise ApiError("http", f"the API answered {answer.status_code}") from None
