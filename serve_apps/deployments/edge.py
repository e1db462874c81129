"""The edge in Serve's proxy: Serve calls `middlewares` when a proxy starts.

Whoever starts Ray names it in `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` (`serinus up` does) and gives the state
folder, where the keys lie, in `SERINUS_STATE_DIR`. Under HAProxy it stands in each replica of Ingress instead, which
then has the socket.
"""

from __future__ import annotations

from typing import Any

from serve_apps.adapters.api_keys import ApiKeys
from serve_apps.api.edge.around_serve import around_serve
from serve_apps.api.edge.edge import Guard
from serve_apps.api.edge.intake import Limits
from serve_apps.settings import load_settings

UNBOUNDED = 1 << 40  # the inbox knows how large a push may be (`max_body_bytes`); here it is only kept moving


def middlewares() -> list[Any]:
    """Starlette middlewares around the proxy's application. Raises OSError where there are no keys."""
    keys = ApiKeys(load_settings().paths.api_keys)
    return around_serve(Guard(keys, Limits(max_store_bytes=UNBOUNDED)))
