"""Has a registry of the site's own wake the controller at a change, as `serinus up` has the embedded one do.

A subscription that somebody deleted is made again. Without one nothing is lost: aliases and tags are polled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from core.errors import RegistryUnavailable
from registry.client import RegistryRefused

logger = logging.getLogger("serinus.subscription")
LOOK_S: Final = 300.0
AGAIN_S: Final = 30.0
NOT_TAKEN: Final = (
    "MLflow does not take the webhook to {url}, so that changes are only polled: it allows https, and no private "
    "address, unless MLFLOW_WEBHOOK_ALLOWED_SCHEMES and MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS say so, and needs its "
    "administrator; SERINUS_PUBLIC_URL is where it reaches this API"
)


class RegistrySubscription:
    """Looks after the subscription of a registry elsewhere. `alarms` says that it does not allow one."""

    def __init__(self, subscribe: Callable[[], object], url: str, executor: Executor | None = None) -> None:
        """`subscribe` makes what is missing and raises RegistryUnavailable; `url` is where the webhook leads."""
        self._subscribe = subscribe
        self._url = url
        self._executor = executor or ThreadPoolExecutor(1, "subscription")
        self.alarms: Mapping[str, str] = {}

    async def run_forever(self) -> None:
        while True:
            is_subscribed = await self.look()
            await asyncio.sleep(LOOK_S if is_subscribed else AGAIN_S)

    async def look(self) -> bool:
        """Subscribe if need be; returns whether there is a subscription now."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._subscribe)
        except RegistryRefused:
            self.alarms = {"registry webhook": NOT_TAKEN.format(url=self._url)}
            return False
        except RegistryUnavailable:  # it is away, which the snapshot tells
            return False
        except Exception as error:  # noqa: BLE001 - outermost loop: a foreign registry may answer anything
            logger.warning("subscription.failed", extra={"error": type(error).__name__})
            return False
        self.alarms = {}
        return True

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
