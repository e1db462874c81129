"""The CPU time of a stack's processes, by what each of them is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from serve_apps.embedded.processes import owned_processes

REPLICA: Final = re.compile(r"ray::ServeReplica:([^:]+):(\w+)")
PROGRAMS: Final[Mapping[str, str]] = {
    "raylet/raylet": "raylet",  # first: its command line holds those of its agents
    "gcs_server": "Ray GCS",
    "ray::ServeController": "Serve controller",
    "ray::ProxyActor": "Serve HTTP proxy",
    "haproxy": "Serve HAProxy",
    "ray-dashboard-": "Ray dashboard module",
    "dashboard/dashboard.py": "Ray dashboard",
    "ray::DashboardAgent": "Ray dashboard agent",
    "dashboard/agent.py": "Ray dashboard agent",
    "ray::RuntimeEnvAgent": "Ray runtime-env agent",
    "runtime_env/agent/main.py": "Ray runtime-env agent",
    "log_monitor.py": "Ray log monitor",
    "monitor.py": "Ray autoscaler monitor",
    "ray.util.client.server": "Ray client server",
    "memory_watcher.py": "memory watcher of a reader",
    "adapters.apart_process": "reader of one study at a time",
    "mlflow": "MLflow",
    "ray::": "Ray worker without work",
    "multiprocessing": "forkserver, resource tracker",
    "start --head": "ray start --block",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What one kind of process used: how many there are, CPU seconds, and resident bytes."""

    processes: int
    cpu_s: float
    resident: int


def title(command: str) -> str:
    """A short name of a process; replicas are told apart by application and deployment."""
    replica = REPLICA.search(command)
    if replica:
        return f"{replica[1]} · {replica[2]}"
    return next((name for mark, name in PROGRAMS.items() if mark in command), command[:40])


def cpu_seconds(pids: Collection[int]) -> dict[int, float]:
    """User and system time by process; one that has ended is left out."""
    seconds = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        seconds[pid] = times.user + times.system
    return seconds


def usage_by_title(before: Mapping[int, float], after: Mapping[int, float]) -> dict[str, Usage]:
    """A process that began in between counts from its beginning."""
    sums: dict[str, Usage] = defaultdict(lambda: Usage(0, 0.0, 0))
    for pid, seconds in after.items():
        try:
            process = psutil.Process(pid)
            name, resident = title(" ".join(process.cmdline())), process.memory_info().rss
        except psutil.Error:
            continue
        kind = sums[name]
        cpu_s = kind.cpu_s + seconds - before.get(pid, 0.0)
        sums[name] = Usage(kind.processes + 1, cpu_s, kind.resident + resident)
    return dict(sums)


class CpuMeter:
    """CPU seconds by kind of process that a stack uses between `start` and `stop`."""

    def __init__(self, stack_id: str) -> None:
        self._stack_id = stack_id
        self._before: dict[int, float] = {}

    def start(self) -> None:
        self._before = cpu_seconds(owned_processes(self._stack_id))

    def stop(self) -> dict[str, float]:
        usage = usage_by_title(self._before, cpu_seconds(owned_processes(self._stack_id)))
        return {name: kind.cpu_s for name, kind in usage.items()}


def summed(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The seconds of several stretches together."""
    sums: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, seconds in part.items():
            sums[name] += seconds
    return dict(sums)
