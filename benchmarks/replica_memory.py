"""How much memory does each replica of a running stack hold? `python -m benchmarks.replica_memory` after `make up`.

Proportional set size (PSS): memory shared between processes is counted once, in parts.
"""

from __future__ import annotations

import re
from pathlib import Path

from serve_apps.embedded.processes import owned_processes
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import load_settings

TITLE = re.compile(r"ray::ServeReplica:([^:]+):(\w+)")


def pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kib,) = re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(kib) / 1024


def main() -> None:
    stack = Stack.load(load_settings().paths.stack)
    found = []
    for pid in owned_processes(stack.id) if stack else ():
        title = TITLE.match(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        if title:
            found.append((title[1], title[2], pss_mib(pid)))
    if not found:
        print("no replica runs here; `make up` starts some")
    for application, deployment, mib in sorted(found):
        print(f"{application:<24} {deployment:<20} {mib:8.0f} MiB PSS")


if __name__ == "__main__":
    main()
