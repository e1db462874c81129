"""The one table that maps our errors to HTTP, as RFC 9457 problem details.

A problem holds `type`, `title`, `status`, `detail`, a stable `code` and whether the same request may succeed
later (`retryable`); never a patient datum.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from core.errors import RequestError, SerinusError
from ledger import Job

STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        "bad-request": 400,
        "invalid-json": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not-found": 404,
        "job-not-found": 404,
        "study-not-found": 404,
        "no-ab-test": 404,
        "no-such-document": 404,
        "method-not-allowed": 405,
        "not-acceptable": 406,
        "not-ready": 409,
        "not-cancelable": 409,
        "experiment-under-way": 409,
        "routing-conflict": 409,
        "idempotency-conflict": 409,
        "canceled": 409,
        "routing-frozen": 409,
        "study-too-large": 413,
        "pixels-too-large": 413,
        "body-too-large": 413,
        "unsupported-media-type": 415,
        "unknown-source": 422,
        "unknown-model": 422,
        "unknown-variant": 422,
        "invalid-field": 422,
        "url-refused": 422,
        "no-eligible-series": 422,
        "geometry-invalid": 422,
        "geometry-implausible": 422,
        "unsupported-transfer-syntax": 422,
        "pixels-damaged": 422,
        "pixels-contradict-header": 422,
        "pixels-constant": 422,
        "rescale-invalid": 422,
        "header-inconsistent": 422,
        "patients-mixed": 422,
        "study-unreadable": 422,
        "outside-intended-use": 422,
        "overloaded": 429,
        "model-error": 500,
        "internal-error": 500,
        "source-failed": 502,
        "source-unavailable": 502,
        "result-store-rejected": 502,
        "unknown-result-version": 500,
        "control-state-corrupt": 503,
        "leadership-lost": 503,
        "callback-failed": 502,
        "callback-gone": 502,
        "model-refused": 503,
        "model-unavailable": 503,
        "registry-unavailable": 503,
        "warming": 503,
        "ledger-unavailable": 503,
        "worker-lost": 503,
        "freeze-unconfirmed": 503,
        "source-timeout": 504,
        "deadline-exceeded": 504,
    }
)
RETRY_AFTER_S: Mapping[int, int] = MappingProxyType({429: 2, 503: 2, 409: 1})
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is not a result. Raised at the edge only; `members` extend it (RFC 9457 3.2)."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        pointer: str | None = None,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.retryable, self.pointer = code, detail, retryable, pointer
        self.status = status or STATUS_BY_CODE.get(code, 500)
        self.members = members or {}

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": MEDIA_TYPE}
        if self.status in RETRY_AFTER_S and (self.retryable or self.code == "not-ready"):
            headers["Retry-After"] = str(RETRY_AFTER_S[self.status])
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'ApiKey realm="serinus"'
        return headers

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {
            **self.members,
            "type": f"urn:serinus:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
        }
        return body | ({"pointer": self.pointer} if self.pointer else {})


def problem_of(error: SerinusError) -> Problem:
    """The problem that tells a caller of `error`."""
    pointer = error.pointer if isinstance(error, RequestError) else None
    return Problem(error.code, error.detail, retryable=error.retryable, pointer=pointer)


def job_problem(job: Job) -> Problem:
    """Why the job failed. It has ended, so asking again changes nothing."""
    return Problem(job.error_code or "internal-error", job.error_detail or "the job failed")


PROBLEMS: Mapping[int | str, dict[str, Any]] = MappingProxyType(
    {
        status: {"description": text, "content": {MEDIA_TYPE: {}}}
        for status, text in {
            401: "no key",
            403: "the key lacks the scope",
            404: "unknown",
            409: "not as things stand now",
            422: "cannot be read",
            429: "overloaded, see Retry-After",
            503: "not ready, or the ledger is away: see Retry-After",
        }.items()
    }
)
"""What the OpenAPI document says of errors, once for all routes."""
