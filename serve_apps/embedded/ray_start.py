"""`ray start` without what an embedded stack has no use for: `python -m serve_apps.embedded.ray_start MODULES start`.

Ray's dashboard runs a process for each of its pages and asks each every second whether it is well. Its program takes
`--modules-to-load`, but `ray start` hands nothing on to it. The server of Ray Client, by which programs elsewhere
would use the cluster, cannot be switched off either, and listens on every interface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from ray._private import node, ray_constants, services
from ray.scripts.scripts import main

ALL_MODULES: Final = "all"
Start = Callable[..., Any]


def with_modules(start: Start, modules: str) -> Start:
    """As `start`, by which Ray starts each of its processes, but the dashboard loads `modules` only."""

    def start_process(command: Sequence[str], process_type: str, *arguments: Any, **options: Any) -> Any:
        if process_type == ray_constants.PROCESS_TYPE_DASHBOARD and modules != ALL_MODULES:
            command = [*command, f"--modules-to-load={modules}"]
        return start(command, process_type, *arguments, **options)

    return start_process


def start_no_client_server(_: node.Node) -> None:
    """What stands in for the start of Ray Client's server."""


if __name__ == "__main__":
    services.start_ray_process = with_modules(services.start_ray_process, sys.argv.pop(1))
    node.Node.start_ray_client_server = start_no_client_server
    main()
