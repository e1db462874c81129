"""Asks outside systems that have a say in a rollout, by a POST that is signed as a callback is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import httpx

from core.clock import now
from core.errors import GateFailed
from serve_apps.adapters.callbacks import Signer

GATE_TIMEOUT_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 16_384


class SignedGates:
    """Posts a question and reads the answer. No redirect is followed, and no long or slow answer read to its end."""

    def __init__(
        self,
        secret: bytes,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], datetime] = now,
        timeout_s: float = GATE_TIMEOUT_S,
    ) -> None:
        self._signer = Signer(secret, clock)
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            timeout=timeout_s, follow_redirects=False, trust_env=False, transport=transport
        )

    async def ask(self, url: str, message: str, body: bytes) -> bytes:
        """The body of a 200. Raises GateFailed with what came instead, without the address."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._asked(url, self._signer.headers(message, body), body)
        except TimeoutError:
            raise GateFailed(f"it did not answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GateFailed(f"it cannot be reached: {type(error).__name__}") from None

    async def _asked(self, url: str, headers: dict[str, str], body: bytes) -> bytes:
        async with self._http.stream("POST", url, content=body, headers=headers) as reply:
            if reply.status_code != httpx.codes.OK:
                raise GateFailed(f"it answered {reply.status_code}")
            answer = b""
            async for piece in reply.aiter_bytes():
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise GateFailed(f"its answer is longer than {MAX_ANSWER_BYTES} bytes")
            return answer

    async def aclose(self) -> None:
        await self._http.aclose()
