"""Export all that is known of one run of a rollout, so that it can be filed and checked elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from core.clock import now
from core.errors import RolloutNotFound
from ledger import Ledger, RolloutEvent, StoredRollout
from registry.pack_signature import PackSigner
from registry.signing import load_signing_key
from serve_apps.application.evidence_page.page import page_of
from serve_apps.application.evidence_records import PackMaterial, records_of
from serve_apps.application.evidence_replay import replayed
from serve_apps.application.evidence_seal import Signer, sealed
from serve_apps.application.executors import run_in
from serve_apps.application.gather_evidence import END, MOST_EVENTS
from serve_apps.settings import Settings

MOST_MOVES = 1_000
Recall = Callable[[str, int], Mapping[str, str | int | float] | None]


def no_recall(model: str, run: int) -> None:
    """Where recall lists are not kept."""


def pack_signer(settings: Settings) -> PackSigner | None:
    """The site's own key; None where the state folder has none, and packs are chained but not signed."""
    key = settings.paths.signing_key
    return PackSigner(load_signing_key(key)) if key.exists() else None


class EvidencePacks:
    """Makes packs in threads of `executor`, which should have few: a long run is read whole. Writes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        *,
        site: str,
        signer: Signer | None = None,
        recall: Recall = no_recall,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._site = site
        self._signer = signer
        self._recall = recall
        self._clock = clock

    async def of(self, model: str, run: int | None = None) -> dict[str, Any]:
        """The pack as a JSON value; of the run that began last unless one is named. Raises RolloutNotFound."""
        return await run_in(self._executor, self._pack, model, run)

    async def page_of(self, model: str, run: int | None = None) -> str:
        """The same pack as one HTML page. Raises RolloutNotFound."""
        return await run_in(self._executor, lambda: page_of(self._pack(model, run)))

    def _pack(self, model: str, run: int | None) -> dict[str, Any]:
        return sealed(records_of(self._material(self._stored(model, run))), self._clock(), self._signer)

    def _stored(self, model: str, run: int | None) -> StoredRollout:
        if run is not None:
            found = self._ledger.rollouts.of_run(model, run)
        else:
            found = next(reversed(self._ledger.rollouts.of_model(model)), None)
        if found is None:
            which = "no rollout of that model" if run is None else "no such run of that model"
            raise RolloutNotFound(f"{which} is kept here")
        return found

    def _material(self, stored: StoredRollout) -> PackMaterial:
        ledger, status = self._ledger, stored.status
        model, run, since = status.model, status.run, status.began_at
        events = tuple(reversed(ledger.rollouts.events(model, run, MOST_EVENTS)))
        until = _end_of(events)
        moves = reversed(ledger.transitions.history(model, MOST_MOVES))
        return PackMaterial(
            site=self._site,
            software=_software(),
            stored=stored,
            approvals=ledger.rollouts.approvals(model, run),
            events=events,
            digests=ledger.version_digests.of(model, (status.candidate, status.stable), since, until),
            aliases=tuple(move for move in moves if since <= move.at < until),
            replay=replayed(ledger, status, stored.plan, until),
            recall=self._recall(model, run),
        )


def _end_of(events: tuple[RolloutEvent, ...]) -> datetime:
    """When the run ended; what comes later belongs to no run, or to the next one."""
    return next((event.at for event in events if event.after.has_ended), END)


def _software() -> str:
    try:
        return f"serinus {version('serinus')}"
    except PackageNotFoundError:
        return "serinus"
