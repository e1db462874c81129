"""How busy a replica's GPU is, by its driver: NVML (`pip install nvidia-ml-py`) and CUDA, at most once a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import torch

from serve_apps.application.messages import GpuLoad

logger = logging.getLogger("serinus.gpu")
EVERY_S: Final = 1.0  # NVML itself looks no more often


class Driver(Protocol):
    """The part of `torch.cuda` that says it; raises what the driver's libraries raise."""

    def utilization(self, device: Any) -> int: ...
    def mem_get_info(self, device: Any) -> tuple[int, int]: ...


class GpuSampler:
    """Never raises: no study fails because its GPU does not say how busy it is."""

    def __init__(
        self,
        device: torch.device,
        driver: Driver = torch.cuda,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._driver = driver
        self._clock = clock
        self._next_s = 0.0
        self._failed: set[str] = set()

    def sample(self) -> GpuLoad | None:
        """How busy the GPU is; None when that was told within the last second, or there is no GPU."""
        if self._device.type != "cuda" or self._clock() < self._next_s:
            return None
        self._next_s = self._clock() + EVERY_S
        return GpuLoad(self._share("busy", self._busy), self._share("memory", self._memory))

    def _busy(self) -> float:
        return self._driver.utilization(self._device) / 100

    def _memory(self) -> float:
        free, total = self._driver.mem_get_info(self._device)
        return (total - free) / total

    def _share(self, what: str, ask: Callable[[], float]) -> float | None:
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever NVML raises; it is not always installed
            if what not in self._failed:
                logger.info("gpu.not_told", extra={"what": what, "error": type(error).__name__})
            self._failed.add(what)
            return None
