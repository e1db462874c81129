"""The one table that maps our errors to HTTP, as RFC 9457 problem details.

A problem holds `type`, `title`, `status`, `detail`, a stable `code` and whether the same request may succeed
later (`retryable`); never a patient datum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from core.errors import RequestError, SerinusError

STATUS_BY_CODE: Mapping[str, int] = MappingProxyType(
    {
        "bad-request": 400,
        "invalid-json": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not-found": 404,
        "job-not-found": 404,
        "key-not-found": 404,
        "study-not-found": 404,
        "no-ab-test": 404,
        "no-price-book": 404,
        "no-drift-reference": 404,
        "truth-not-found": 404,
        "adjudication-not-found": 404,
        "rollout-not-found": 404,
        "replay-not-found": 404,
        "truth-set-not-found": 404,
        "recall-not-found": 404,
        "recall-item-not-found": 404,
        "no-such-document": 404,
        "method-not-allowed": 405,
        "not-acceptable": 406,
        "request-timeout": 408,
        "canceled": 410,
        "document-purged": 410,
        "not-ready": 409,
        "not-cancelable": 409,
        "experiment-under-way": 409,
        "routing-conflict": 409,
        "already-answered": 409,
        "rollout-conflict": 409,
        "rollout-refused": 409,
        "replay-refused": 409,
        "truth-set-in-use": 409,
        "recall-item-closed": 409,
        "idempotency-conflict": 409,
        "routing-frozen": 409,
        "key-refused": 409,
        "study-too-large": 413,
        "pixels-too-large": 413,
        "body-too-large": 413,
        "unsupported-media-type": 415,
        "head-too-large": 431,
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
        "poison-study": 422,
        "outside-intended-use": 422,
        "input-out-of-distribution": 422,
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
        "gate-failed": 502,
        "api-unavailable": 503,
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
    """An answer that is not a result. Raised at the edge only; `members` extend it (RFC 9457 3.2).

    `allow` are the methods that a path does take.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        pointer: str | None = None,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
        allow: Collection[str] = (),
    ) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.retryable, self.pointer = code, detail, retryable, pointer
        self.status = status or STATUS_BY_CODE.get(code, 500)
        self.members = members or {}
        self.allow = tuple(allow)

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": MEDIA_TYPE}
        if self.status in RETRY_AFTER_S and (self.retryable or self.code == "not-ready"):
            headers["Retry-After"] = str(RETRY_AFTER_S[self.status])
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'ApiKey realm="serinus"'
        if self.allow:
            headers["Allow"] = ", ".join(self.allow)
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


TOLD: Mapping[int, str] = MappingProxyType(
    {
        400: "no JSON, or no body of the form that is asked for",
        401: "no key",
        403: "the key lacks the scope",
        404: "unknown",
        406: "no such form of the result",
        408: "the request came too slowly",
        409: "not as things stand now",
        410: "the job was cancelled, or its document is no longer kept",
        413: "too large",
        415: "not a media type that is taken here",
        422: "cannot be read",
        429: "overloaded, see Retry-After",
        500: "it failed here; the code says what",
        502: "the source, or the place that reports go to, failed",
        503: "not ready, or a part is away: see Retry-After",
        504: "the source, or the reading, took too long",
    }
)
"""What a status means, for the OpenAPI document."""

JOB_STATUSES = (404, 409, 410, 413, 500, 502, 504)
"""What a caller who asks for a result may be told of a job that has failed."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of the errors of a route: those of every route, and these."""
    always = (400, 401, 403, 404, 408, 413, 422, 429, 500, 503)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TOLD[status], "content": content} for status in sorted({*always, *statuses})
    }
