"""What stands around Serve's own HTTP server, in the process that owns the socket."""

from __future__ import annotations

from starlette.middleware import Middleware

from serve_apps.api.edge.connections import time_connections
from serve_apps.api.edge.edge import Edge, Guard
from serve_apps.api.edge.stand_in import StandIn


def around_serve(guard: Guard) -> list[Middleware]:
    """Innermost first, as Serve puts them on; connections of this process are timed from now on."""
    time_connections()
    return [Middleware(StandIn), Middleware(Edge, guard=lambda: guard)]
