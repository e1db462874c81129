"""MLflow's webhooks: believed only with a valid signature, and even then no more than a reason to look now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime

from core.clock import now
from registry.webhook import DELIVERY_HEADER, webhook_fault
from serve_apps.api.problems import Problem

MAX_BODY_BYTES = 64 << 10
REMEMBERED = 1000


class WebhookReceiver:
    """Checks a delivery and wakes the controller, once per delivery: MLflow repeats what it thinks was lost."""

    def __init__(
        self, secret: str, wake: Callable[[], Awaitable[None]], clock: Callable[[], datetime] = now
    ) -> None:
        self._secret = secret
        self._wake = wake
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def receive(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """Wake the controller, or raise Problem 401 or 413. Header names in lower case."""
        body = await _body(chunks)
        fault = webhook_fault(self._secret, headers, body, self._clock())
        if fault is not None:
            raise Problem("unauthenticated", fault)
        if self._is_new(headers[DELIVERY_HEADER]):
            await self._wake()

    def _is_new(self, delivery: str) -> bool:
        if delivery in self._seen:
            return False
        self._seen[delivery] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True


async def _body(chunks: AsyncIterator[bytes]) -> bytes:
    """The body. Anybody may send here, so no more is taken in than a webhook has."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem("body-too-large", f"a webhook has at most {MAX_BODY_BYTES} bytes")
    return body
