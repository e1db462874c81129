"""A small client of our own HTTP API, for the command line and the demo.

httpx is imported by the first client, not by the module: `serinus --help` has no need of it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serve_apps.settings import Settings

if TYPE_CHECKING:
    import httpx

JSON = Mapping[str, Any]
ALL_STORED = 200  # 202: some were not (PS3.18 table 10.5.3-1)
WAIT_S = 30.0  # how long one request asks the API to wait
TIMEOUT_S = 60.0
FINAL_STATES = ("completed", "failed", "canceled")


class ApiError(RuntimeError):
    """A problem that the API answered with; the text is its detail, `code` the stable code.

    `status` is that of HTTP, 0 without an answer.
    """

    def __init__(self, code: str, detail: str, status: int = 0) -> None:
        super().__init__(code, detail, status)
        self.code, self.detail, self.status = code, detail, status

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


class ApiAway(ApiError):
    """The API does not answer, or no stack was ever started in this state folder."""

    def __init__(self, url: str) -> None:
        super().__init__("api-away", f"the API at {url} does not answer; `serinus up` starts it")

    def __str__(self) -> str:
        return self.detail


class ApiClient:
    """Talks to one stack with one key. Every method raises ApiError for a problem and ApiAway for no answer."""

    def __init__(
        self, base_url: str, key: str, timeout_s: float = TIMEOUT_S, actor: str | None = None
    ) -> None:
        import httpx

        headers = {"X-API-Key": key} | ({"X-Serinus-Actor": actor} if actor else {})
        self._url = base_url
        encrypted = base_url.startswith("https:")  # reading the world's certificates takes 40 ms of CPU
        verify = True if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout_s, verify=verify)

    @classmethod
    def of(cls, settings: Settings, actor: str | None = None, timeout_s: float = TIMEOUT_S) -> ApiClient:
        """A client with the administrator's key of the state folder. Raises ApiAway where there is none."""
        return cls._with_key_in(settings.paths.api_key, settings, actor, timeout_s)

    @classmethod
    def of_orchestrator(cls, settings: Settings) -> ApiClient:
        """A client with the key of the state folder that reads studies and may do nothing else. Raises ApiAway."""
        return cls._with_key_in(settings.paths.orchestrator_key, settings)

    @classmethod
    def _with_key_in(
        cls, file: Path, settings: Settings, actor: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> ApiClient:
        try:
            key = file.read_text().strip()
        except FileNotFoundError:
            raise ApiAway(settings.api_url) from None
        return cls(settings.api_url, key, timeout_s, actor)

    def ask(self, method: str, path: str, body: JSON | None = None) -> JSON:
        """Send any request; returns the document of the answer."""
        return self._json(self._send(method, path, json=None if body is None else dict(body)))

    def submit(self, body: JSON, idempotency_key: str | None = None, variant: str | None = None) -> JSON:
        optional = {"Idempotency-Key": idempotency_key, "X-Serinus-Variant": variant}
        headers = {name: value for name, value in optional.items() if value}
        return self._json(self._send("POST", "/v1/jobs", json=dict(body), headers=headers))

    def job(self, job_id: str, wait_s: float = 0.0) -> JSON:
        return self._json(self._send("GET", f"/v1/jobs/{job_id}", params={"wait": wait_s}))

    def ended(self, job_id: str) -> JSON:
        """The job once it has ended; the API says so as soon as it has."""
        while True:
            job = self.job(job_id, WAIT_S)
            if job["state"] in FINAL_STATES:
                return job

    def store(self, content_type: str, body: bytes) -> None:
        """Push the instances of a STOW-RS body into the inbox; also raises ApiError where not all were stored."""
        answer = self._send(
            "POST", "/dicom-web/studies", content=body, headers={"Content-Type": content_type}
        )
        self._raise(answer)
        if answer.status_code != ALL_STORED:
            raise ApiError("not-stored", "not all instances were stored")

    def result(self, job_id: str) -> JSON:
        return self.ask("GET", f"/v1/jobs/{job_id}/results")

    def document(self, job_id: str, kind: str = "sr") -> bytes:
        answer = self._send(
            "GET",
            f"/v1/jobs/{job_id}/results",
            params={"document": kind},
            headers={"Accept": "application/dicom"},
        )
        self._raise(answer)
        return answer.content

    def page(self, path: str) -> bytes:
        """What a path answers as a page."""
        answer = self._send("GET", path, headers={"Accept": "text/html"})
        self._raise(answer)
        return answer.content

    def models(self) -> JSON:
        return self.ask("GET", "/v1/models")

    def queue(self) -> JSON:
        return self.ask("GET", "/v1/queue")

    def follow(self, job_id: str, seen: Callable[[JSON], None], poll_s: float = 0.1) -> JSON:
        """Poll until the job has ended, showing each state to `seen`."""
        while True:
            job = self.job(job_id)
            seen(job)
            if job["state"] in FINAL_STATES:
                return job
            time.sleep(poll_s)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError:
            raise ApiAway(self._url) from None

    def _json(self, answer: httpx.Response) -> JSON:
        self._raise(answer)
        document: JSON = answer.json() if answer.content else {}
        return document

    def _raise(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        try:
            problem = answer.json()
            code, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            code, detail = "http", f"the API answered {answer.status_code}"
        raise ApiError(code, detail, answer.status_code)
