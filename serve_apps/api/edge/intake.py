"""What each path takes in: whether it needs a key, how large a body it takes, and how it is read.

The table knows paths, not routes, since it also stands in Serve's proxy, which knows no routes;
tests/unit/shell/test_edge.py holds it against the routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

STORE_PATH: Final = "/dicom-web/studies"
TRUTH_SETS_PATH: Final = "/v1/truth-sets"
WEBHOOK_PATH: Final = "/v1/webhooks/mlflow"
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz", "/-/healthz", "/-/routes"})
PAGE_PATHS: Final = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})
PAGE_FILES: Final = "/static-offline-docs/"


class Lane(StrEnum):
    """Requests of one lane share its places, and wait for no other lane."""

    HEALTH = "health"
    PAGE = "page"
    WEBHOOK = "webhook"
    STORE = "store"
    CALL = "call"


PLACES: Mapping[Lane, int] = MappingProxyType(
    {Lane.HEALTH: 32, Lane.PAGE: 16, Lane.WEBHOOK: 16, Lane.STORE: 32, Lane.CALL: 400}
)
"""How many requests of a lane are under way at most. Together fewer than the slots of one Ingress."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken in at once. Sizes in bytes, times in seconds."""

    max_store_bytes: int
    max_call_bytes: int = 256 << 10
    max_set_bytes: int = 4 << 20  # thousands of studies
    max_webhook_bytes: int = 64 << 10
    call_body_s: float = 10.0  # for a whole JSON body
    store_pause_s: float = 15.0  # between two pieces of a study
    store_grace_s: float = (
        30.0  # after which a study comes at `store_bytes_per_s` on the average, or not at all
    )
    store_bytes_per_s: float = 16 << 10
    places: Mapping[Lane, int] = field(default_factory=lambda: PLACES)


@dataclass(frozen=True, slots=True)
class Intake:
    """How one request is taken in. A body that is not streamed is read whole before the request is passed on."""

    lane: Lane
    max_bytes: int
    needs_key: bool = True
    is_streamed: bool = False


def intake_of(method: str, path: str, limits: Limits) -> Intake:
    """How a request to `path` is taken in; what is not known to be open needs a key, and so does what is unknown."""
    if path in HEALTH_PATHS:
        return Intake(Lane.HEALTH, 0, needs_key=False)
    if path in PAGE_PATHS or path.startswith(PAGE_FILES):
        return Intake(Lane.PAGE, 0, needs_key=False)
    if path == WEBHOOK_PATH:
        return Intake(Lane.WEBHOOK, limits.max_webhook_bytes, needs_key=False)
    if method == "POST" and (path == STORE_PATH or path.startswith(f"{STORE_PATH}/")):
        return Intake(Lane.STORE, limits.max_store_bytes, is_streamed=True)
    if method == "POST" and path == TRUTH_SETS_PATH:
        return Intake(Lane.CALL, limits.max_set_bytes)
    return Intake(Lane.CALL, limits.max_call_bytes)
