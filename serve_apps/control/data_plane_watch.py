"""Looks every other second whether the routers do what the tables say; says so in an alarm when they do not.

The evidence is the decision ledger, which every router writes with a study's result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from canary.data_plane import PlaneVerdict, intent_of, verify_data_plane
from canary.routing_table import RoutingTable
from canary.sample_ratio import RatioVerdict, SampleRatio, judge_ratio, observe_draws
from canary.verdict import Verdict
from core.clock import now
from ledger import Ledger
from ledger.tables import EPOCH

logger = logging.getLogger("serinus.alarms")
CHECK_INTERVAL_S = 2.0
STAMP_WINDOW = timedelta(minutes=10)
OVERLAP = timedelta(minutes=1)  # routers' clocks differ, and what was written late must not be passed by


@dataclass(slots=True)
class _Experiment:
    """The evidence on one experiment's split so far; each identity counts once."""

    states: Mapping[str, SampleRatio] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    since: datetime = EPOCH


class DataPlaneWatch:
    """`alarms` holds a sentence for each model whose studies are not routed as its table says."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] = now) -> None:
        self.alarms: dict[str, str] = {}
        self._ledger = ledger
        self._clock = clock
        self._experiments: dict[tuple[str, str], _Experiment] = {}

    async def run_forever(self, tables: Callable[[], Mapping[str, RoutingTable]]) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look, tables())
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("alarms.look_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(CHECK_INTERVAL_S)

    def look(self, tables: Mapping[str, RoutingTable]) -> None:
        """Look at every model once; a new alarm is logged and put into the audit."""
        running = {(model, e.salt) for model, table in tables.items() for e in table.experiments}
        self._experiments = {key: each for key, each in self._experiments.items() if key in running}
        verdicts = {model: self._verdict(table) for model, table in tables.items()}
        found = {model: v.reason for model, v in verdicts.items() if v.verdict is Verdict.FAILED}
        for model in sorted(found.keys() - self.alarms.keys()):
            logger.error("alarms.data_plane", extra={"model": model, "reason": found[model]})
            detail = {"reason": found[model], "generation": tables[model].generation}
            self._ledger.audit.append("controller", "data-plane-alarm", model, detail)
        self.alarms = found

    def _verdict(self, table: RoutingTable) -> PlaneVerdict:
        since = self._clock() - STAMP_WINDOW
        served = self._ledger.decisions.served(table.model, since, table.generation)
        ratios = [self._ratio(table.model, experiment.salt) for experiment in table.experiments]
        return verify_data_plane(intent_of(table), served, ratios)

    def _ratio(self, model: str, salt: str) -> RatioVerdict:
        known = self._experiments.setdefault((model, salt), _Experiment())
        found = self._ledger.decisions.exposures(model, known.since, salt=salt)
        new = [each for each in found if each.identity not in known.seen]
        known.seen |= {each.identity for each in new}
        known.states = observe_draws(known.states, (each.draw for each in new))
        known.since = max([known.since, *(each.at - OVERLAP for each in new)])
        return judge_ratio(known.states.values())
