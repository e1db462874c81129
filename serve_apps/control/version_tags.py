"""Writes each version's standing back to MLflow as tags, so that its page shows where it stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from core.errors import RegistryUnavailable, UnknownModel
from registry.client import RegistryClient
from serve_apps.application.routing_snapshot import VariantStatus

logger = logging.getLogger("serinus.tags")
# MLflow sorts tags and shows the first few: these come before those of the artifact
STATE_TAG = "rollout.state"
REASON_TAG = "rollout.reason"


class TagWriter:
    """Writes what changed; what MLflow did not take is tried again with the next change."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._written: dict[tuple[str, str], tuple[str, str]] = {}

    async def write(self, variants: Iterable[VariantStatus]) -> None:
        await asyncio.to_thread(self._write, tuple(variants))

    def _write(self, variants: tuple[VariantStatus, ...]) -> None:
        for key, told in version_statuses(variants).items():
            if self._written.get(key) == told:
                continue
            try:
                self._client.set_tag(*key, STATE_TAG, told[0])
                self._client.set_tag(*key, REASON_TAG, told[1])
            except (RegistryUnavailable, UnknownModel) as error:
                logger.info("tags.not_written", extra={"error": error.code})
                return
            self._written[key] = told


def version_statuses(variants: Iterable[VariantStatus]) -> dict[tuple[str, str], tuple[str, str]]:
    """State and reason by (model, version); a version with several roles names them all."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for variant in variants:
        key = (variant.model, variant.version)
        roles = (
            f"{found[key][0]}, {variant.role}" if key in found else f"{variant.state.value} as {variant.role}"
        )
        found[key] = (roles, variant.reason or "")
    return found
