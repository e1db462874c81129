"""What does a stack cost that has nothing to do? `python -m benchmarks.idle_stack` after `serinus up`.

CPU time of every process of the running stack over a minute, by the title of the process, in per cent of one core.
Nothing may be sent to the stack meanwhile. The own CPU time of this benchmark is not in the figures.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.processes import cpu_seconds, usage_by_title
from serve_apps.embedded.processes import owned_processes
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import load_settings


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
    sums = usage_by_title(before, after)
    for name, used in sorted(sums.items(), key=lambda item: -item[1].cpu_s):
        share = used.cpu_s / elapsed
        print(
            f"{name:<36} {used.processes:3d}  {share:7.2%} of a core  {used.resident >> 20:6d} MiB resident"
        )
    total = sum(used.cpu_s for used in sums.values()) / elapsed
    print(f"{'all':<36} {sum(used.processes for used in sums.values()):3d}  {total:7.2%} of a core")


if __name__ == "__main__":
    main()
