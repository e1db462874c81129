"""Sends the metrics to the site's collector, from the controller that leads: the same numbers as a scrape tells."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Final, Protocol

from opentelemetry.sdk.metrics.export import MetricsData

from core.errors import SerinusError
from observability.metrics.instruments import OF_RECORDS
from observability.metrics.otlp import metrics_data_of
from serve_apps.application.executors import run_in
from serve_apps.application.metrics import MetricsNow

logger = logging.getLogger("serinus.metrics")
EVERY_S: Final = 15.0


class Collector(Protocol):
    """`observability.metrics.otlp.OtlpMetrics`."""

    def send(self, metrics: MetricsData) -> bool: ...
    def close(self) -> None: ...


class MetricsExport:
    """Every `every_s` seconds. `leads` asks the ledger; it and the collector block, and are asked in `executor`."""

    def __init__(
        self,
        now: Callable[[], Awaitable[MetricsNow]],
        leads: Callable[[], bool],
        collector: Collector,
        executor: Executor,
        every_s: float = EVERY_S,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._now = now
        self._leads = leads
        self._collector = collector
        self._executor = executor
        self._every_s = every_s
        self._clock_ns = clock_ns

    async def run_forever(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self._every_s)

    async def once(self) -> bool:
        """Whether the collector took the metrics now. What fails is logged, and made up for by the next time."""
        try:
            if not await run_in(self._executor, self._leads):
                return False
            now = await self._now()
            metrics = metrics_data_of(now.series, now.gauges, OF_RECORDS, self._clock_ns())
            is_taken = await run_in(self._executor, self._collector.send, metrics)
        except SerinusError as error:
            logger.warning("metrics.not_sent", extra={"error": error.code})
            return False
        except Exception as error:
            logger.exception("metrics.not_sent", extra={"error": type(error).__name__})
            return False
        if not is_taken:
            logger.warning("metrics.not_sent", extra={"error": "the collector did not take them"})
        return is_taken

    def close(self) -> None:
        self._collector.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
