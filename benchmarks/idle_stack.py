"""What does a stack cost that has nothing to do? `python -m benchmarks.idle_stack` after `serinus up`.

CPU time of every process of the running stack over a minute, by the title of the process, in per cent of one core.
Nothing may be sent to the stack meanwhile. The own CPU time of this benchmark is not in the figures.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from serve_apps.embedded.processes import owned_processes
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import load_settings

REPLICA = re.compile(r"ray::ServeReplica:([^:]+):(\w+)")
PROGRAMS: Mapping[str, str] = {
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
    "mlflow": "MLflow",
    "ray::": "Ray worker without work",
    "multiprocessing": "forkserver, resource tracker",
    "start --head": "ray start --block",
}


@dataclass(frozen=True, slots=True)
class Used:
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


def cpu_seconds(pids: Sequence[int]) -> dict[int, float]:
    """User and system time by process; one that has ended is left out."""
    seconds = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        seconds[pid] = times.user + times.system
    return seconds


def used_by_title(before: Mapping[int, float], after: Mapping[int, float]) -> dict[str, Used]:
    """A process that began in between counts from its beginning."""
    sums: dict[str, Used] = defaultdict(lambda: Used(0, 0.0, 0))
    for pid, seconds in after.items():
        try:
            process = psutil.Process(pid)
            name, resident = title(" ".join(process.cmdline())), process.memory_info().rss
        except psutil.Error:
            continue
        kind = sums[name]
        cpu_s = kind.cpu_s + seconds - before.get(pid, 0.0)
        sums[name] = Used(kind.processes + 1, cpu_s, kind.resident + resident)
    return dict(sums)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0)
    seconds = arguments.parse_args().seconds
    stack = Stack.load(load_settings().paths.stack)
    before = cpu_seconds(owned_processes(stack.id)) if stack else {}
    if stack is None or not before:
        print("no stack runs here; `serinus up` starts one")
        return
    started = time.monotonic()
    time.sleep(seconds)
    after = cpu_seconds(owned_processes(stack.id))
    elapsed = time.monotonic() - started
    sums = used_by_title(before, after)
    for name, used in sorted(sums.items(), key=lambda item: -item[1].cpu_s):
        share = used.cpu_s / elapsed
        print(
            f"{name:<36} {used.processes:3d}  {share:7.2%} of a core  {used.resident >> 20:6d} MiB resident"
        )
    total = sum(used.cpu_s for used in sums.values()) / elapsed
    print(f"{'all':<36} {sum(used.processes for used in sums.values()):3d}  {total:7.2%} of a core")


if __name__ == "__main__":
    main()
