"""The edge in Serve's proxy: Serve calls `middlewares` when a proxy starts.

Whoever starts Ray names it in `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` (`serinus up` does) and says where the
keys lie: in the ledger of `SERINUS_LEDGER_URL`, or of the state folder `SERINUS_STATE_DIR`. Under HAProxy it stands
in each replica of Ingress instead, which then has the socket.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ledger import Ledger
from serve_apps.adapters.key_follower import KeyFollower
from serve_apps.adapters.tally_writer import TallyWriter
from serve_apps.api.edge.around_serve import around_serve
from serve_apps.api.edge.edge import Guard
from serve_apps.api.edge.intake import Limits
from serve_apps.application.edge_tally import ErrorTally
from serve_apps.application.key_ring import KeyRing
from serve_apps.settings import load_settings

UNBOUNDED = 1 << 40  # the inbox knows how large a push may be (`max_body_bytes`); here it is only kept moving


def middlewares() -> list[Any]:
    """Starlette middlewares around the proxy's application. Until the keys have been read once it answers 503."""
    settings, ring, errors = load_settings(), KeyRing(), ErrorTally()
    open_ledger = partial(Ledger.open, settings.ledger)
    KeyFollower(ring, open_ledger, settings.paths.api_keys).follow()
    TallyWriter([errors], open_ledger).follow()
    return around_serve(Guard(ring, Limits(max_store_bytes=UNBOUNDED), errors.note))
