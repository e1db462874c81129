"""Callbacks to the web servers of callers, signed as Standard Webhooks are (standardwebhooks.com)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook

from core.clock import now
from core.errors import CallbackFailed, CallbackGone

CALLBACK_TIMEOUT_S = 10.0


class Signer:
    """Signs bodies with the secret of the site, so that any Standard Webhooks library can check them."""

    def __init__(self, secret: bytes, clock: Callable[[], datetime] = now) -> None:
        self._webhook = Webhook(secret)
        self._clock = clock

    def headers(self, message: str, body: bytes) -> dict[str, str]:
        """Those of one POST; a receiver knows a message that comes again by its id."""
        at = self._clock()
        return {
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._webhook.sign(message, at, body.decode()),
            "Content-Type": "application/json",
        }


class SignedCallbacks:
    """Posts JSON bodies. A redirect is not followed: the site allowed a host, not wherever that one points."""

    def __init__(
        self,
        secret: bytes,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._signer = Signer(secret, clock)
        self._http = httpx.AsyncClient(
            timeout=CALLBACK_TIMEOUT_S, follow_redirects=False, trust_env=False, transport=transport
        )

    async def send(self, url: str, delivery_id: str, body: bytes, deadline_s: float) -> None:
        """Post the body once, signed.

        Raises CallbackFailed, or CallbackGone for a host that wants no more of them.
        """
        timeout_s = min(CALLBACK_TIMEOUT_S, deadline_s)
        headers = self._signer.headers(delivery_id, body)
        try:
            response = await self._http.post(url, content=body, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise CallbackFailed(f"the callback's host cannot be reached: {type(error).__name__}") from None
        if response.status_code == HTTPStatus.GONE:
            raise CallbackGone("the callback's host wants no more callbacks here")
        if not response.is_success:
            raise CallbackFailed(f"the callback's host answered {response.status_code}")

    async def aclose(self) -> None:
        await self._http.aclose()
