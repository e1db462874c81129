"""How much memory does each replica of a running stack hold? `python -m benchmarks.replica_memory` after `make up`.

Proportional set size (PSS): memory shared between processes is counted once, in parts.
"""

from __future__ import annotations

import re

import psutil

from serve_apps.embedded.processes import owned_processes
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import load_settings

TITLE = re.compile(r"ray::ServeReplica:([^:]+):(\w+)")


def main() -> None:
    stack = Stack.load(load_settings().paths.stack)
    replicas = []
    for pid in owned_processes(stack.id) if stack else ():
        process = psutil.Process(pid)
        title = TITLE.match(" ".join(process.cmdline()))
        if title:
            replicas.append((title[1], title[2], process.memory_full_info().pss >> 20))
    if not replicas:
        print("no replica runs here; `make up` starts some")
    for application, deployment, mib in sorted(replicas):
        print(f"{application:<24} {deployment:<20} {mib:8d} MiB PSS")


if __name__ == "__main__":
    main()
