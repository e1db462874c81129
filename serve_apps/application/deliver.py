"""Carries out the outbox: reports back to their source, callbacks to their hosts. At least once.

A report's UIDs are derived from its input and version, so storing it twice leaves one in the PACS.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass

import httpx

from core.clock import now
from core.errors import ReportRejected, SerinusError
from ledger import ClaimedDelivery, Ledger
from serve_apps.adapters.report_store import ReportStores
from serve_apps.adapters.wakeups import Wakeups
from serve_apps.application.deliveries import CALLBACK
from serve_apps.application.jobs import retry_at

logger = logging.getLogger("serinus.outbox")
IDLE_S = 0.1
LEASE_S = 30.0
BATCH_SIZE = 8
MAX_ATTEMPTS = 12
CALLBACK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class CallbackSigner:
    """Signs a callback as Standard Webhooks do: HMAC-SHA256 over `id.timestamp.body`."""

    secret: bytes

    def headers(self, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        signed = f"{delivery_id}.{timestamp}.".encode() + body
        digest = hmac.new(self.secret, signed, hashlib.sha256).digest()
        return {
            "webhook-id": delivery_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
            "Content-Type": "application/json",
        }


class DeliveryRunner:
    """Claims what is due and delivers it, a few at a time."""

    def __init__(
        self, worker: str, ledger: Ledger, stores: ReportStores, signer: CallbackSigner, wakeups: Wakeups
    ) -> None:
        self._worker = worker
        self._ledger = ledger
        self._stores = stores
        self._signer = signer
        self._bells = wakeups
        self._http = httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_S, follow_redirects=False, trust_env=False)

    async def run_forever(self) -> None:
        while True:
            try:
                busy = await self.run_once()
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("outbox.claim_failed", extra={"error": type(error).__name__})
                busy = False
                await asyncio.sleep(1.0)
            if not busy:
                await self._bells.to_deliver.wait(IDLE_S)

    async def run_once(self) -> bool:
        """Deliver what is due now; whether there was anything."""
        claimed = await asyncio.to_thread(
            self._ledger.outbox.claim_deliveries, self._worker, LEASE_S, BATCH_SIZE
        )
        await asyncio.gather(*(self._deliver(each) for each in claimed))
        return bool(claimed)

    async def _deliver(self, delivery: ClaimedDelivery) -> None:
        started = time.monotonic()
        try:
            if delivery.kind == CALLBACK:
                await self._call_back(delivery)
            else:
                await self._store(delivery)
        except (SerinusError, httpx.HTTPError, OSError) as error:
            await self._failed(delivery, error)
            return
        await asyncio.to_thread(self._ledger.outbox.delivered, delivery.id, time.monotonic() - started)
        self._bells.ended.ring(delivery.job_id)

    async def _store(self, delivery: ClaimedDelivery) -> None:
        assert delivery.document is not None
        encoded = await asyncio.to_thread(self._ledger.jobs.document, delivery.job_id, delivery.document)
        await self._stores.store(delivery.destination, encoded, LEASE_S / 2)

    async def _call_back(self, delivery: ClaimedDelivery) -> None:
        body = json.dumps(delivery.payload).encode()
        headers = self._signer.headers(delivery.id, int(now().timestamp()), body)
        answer = await self._http.post(delivery.destination, content=body, headers=headers)
        if not answer.is_success:
            raise ReportRejected(f"the callback's host answered {answer.status_code}")

    async def _failed(self, delivery: ClaimedDelivery, error: Exception) -> None:
        """Try again with growing pauses; after the last attempt the delivery is a dead letter, kept and shown."""
        code = error.code if isinstance(error, SerinusError) else "callback-failed"
        permanent = isinstance(error, SerinusError) and not error.retryable
        at = now()
        last = permanent or delivery.attempt >= MAX_ATTEMPTS
        await asyncio.to_thread(
            self._ledger.outbox.delivery_failed,
            delivery.id,
            code,
            retry_at=None if last else retry_at(delivery.attempt, at),
        )
        self._bells.ended.ring(delivery.job_id)
        logger.warning("outbox.failed", extra={"job": delivery.job_id, "code": code, "last": last})
