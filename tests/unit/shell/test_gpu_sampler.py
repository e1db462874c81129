"""A replica's GPU says how busy it is; a driver that does not say it fails no study. No GPU was asked here."""

from __future__ import annotations

import torch

from serve_apps.adapters.gpu_sampler import GpuSampler
from serve_apps.application.messages import GpuLoad

GPU = torch.device("cuda")


class Driver:
    """A GPU of 8 GiB, of which 2 are free."""

    def __init__(self, busy: int | Exception = 40) -> None:
        self.busy = busy
        self.asked = 0

    def utilization(self, device: torch.device) -> int:
        self.asked += 1
        if isinstance(self.busy, Exception):
            raise self.busy
        return self.busy

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        return 2 << 30, 8 << 30


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def test_shares_of_time_and_memory() -> None:
    assert GpuSampler(GPU, Driver(), Clock()).sample() == GpuLoad(0.4, 0.75)


def test_it_asks_once_a_second_however_many_studies_are_read() -> None:
    driver, clock = Driver(), Clock()
    sampler = GpuSampler(GPU, driver, clock)
    assert sampler.sample() is not None
    assert sampler.sample() is None
    clock.at += 1.0
    assert sampler.sample() is not None
    assert driver.asked == 2


def test_without_nvml_the_memory_is_told_all_the_same() -> None:
    sampler = GpuSampler(GPU, Driver(ModuleNotFoundError("pynvml")), Clock())
    assert sampler.sample() == GpuLoad(None, 0.75)


def test_a_cpu_is_asked_nothing() -> None:
    driver = Driver()
    assert GpuSampler(torch.device("cpu"), driver, Clock()).sample() is None
    assert driver.asked == 0
