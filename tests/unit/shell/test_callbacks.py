"""A callback is signed so that any Standard Webhooks library can check it; what is not taken is an error."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from core.errors import CallbackFailed, CallbackGone
from core.retry import FailureClass
from serve_apps.adapters.callbacks import SignedCallbacks

SECRET = b"a secret of the site"
URL = "https://ris.example/done"
BODY = b'{"job": "j1"}'


class Host:
    """A caller's web server with one answer, or with an error of the line."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return httpx.Response(self.answer, headers={"Location": "https://elsewhere.example/"})


def callbacks(host: Host, at: datetime | None = None) -> SignedCallbacks:
    clock = (lambda: at) if at else (lambda: datetime.now(UTC))
    return SignedCallbacks(SECRET, httpx.MockTransport(host), clock)


async def test_the_signature_holds_for_this_body_and_no_other() -> None:
    host = Host(204)
    await callbacks(host).send(URL, "delivery-1", BODY, 5.0)
    (request,) = host.requests
    headers = dict(request.headers)
    assert headers["webhook-id"] == "delivery-1"
    assert Webhook(SECRET).verify(request.content, headers) == {"job": "j1"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"job": "j2"}', headers)


async def test_the_signature_is_that_of_the_specification() -> None:
    """Computed by hand: HMAC-SHA256 over `id.timestamp.body`, so a receiver that was written before still fits."""
    host = Host(200)
    await callbacks(host, datetime(2026, 1, 1, tzinfo=UTC)).send(URL, "d", b"{}", 5.0)
    (request,) = host.requests
    assert request.headers["webhook-timestamp"] == "1767225600"
    assert request.headers["webhook-signature"] == "v1,nVHRj+VsQZRrB8fVbzAzCgfJgV7pGNe46lSSO7ehXWk="


@pytest.mark.parametrize("answer", [302, 404, 500, 503, httpx.ConnectError("no"), httpx.ReadTimeout("slow")])
async def test_what_is_not_taken_is_tried_again(answer: int | Exception) -> None:
    host = Host(answer)
    with pytest.raises(CallbackFailed) as failure:
        await callbacks(host).send(URL, "d", BODY, 5.0)
    assert failure.value.failure is FailureClass.SOURCE_AWAY
    assert "ris.example" not in failure.value.detail
    assert len(host.requests) == 1, "a redirect is not followed"


async def test_a_host_that_wants_no_more_is_left_alone() -> None:
    with pytest.raises(CallbackGone) as failure:
        await callbacks(Host(410)).send(URL, "d", BODY, 5.0)
    assert failure.value.failure is FailureClass.PERMANENT
