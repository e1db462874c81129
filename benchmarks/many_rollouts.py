"""What do many rollouts cost that are under way? One look of the controller at all of them.

    python -m benchmarks.many_rollouts [--models 50 500] [--looks 60]

Each model has a champion and a challenger whose default rollout waits for evidence. Real: the ledger (SQLite), the
evidence, `advance`, and what a look reads and writes. Hand-written: what the controller observed of MLflow and Serve.

idle       nobody wrote to the ledger since the last look
elsewhere  somebody wrote, and nothing of it concerns a rollout
one moved  one model's candidate read one more study as a shadow since the last look
all moved  each model's candidate did

CPU time of this process in milliseconds, the median. Goal: under 100 ms at 500 models with one moved.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from statistics import median

import sqlalchemy as sa

from benchmarks.live import print_table, say
from canary.gates import GateVerdict, Permission
from canary.observation import ReconcilerState, VersionView
from canary.rollout.default_plan import DefaultRollout
from canary.routing_table import RoutingTable, Shadow, Variant
from core.clock import now
from ledger import Ledger
from ledger.tables import jobs, shadow_outcomes
from registry.client import RegisteredModel
from serve_apps.application.gather_evidence import GatheredEvidence
from serve_apps.control.observe import Observation
from serve_apps.control.rollout_acts import Ports
from serve_apps.control.rollout_world import Drains, Sighting, Site
from serve_apps.control.rollouts import Rollouts, Sources
from serve_apps.control.state import ControllerState
from serve_apps.control.watch import TableInForce
from tests.unit.ledger.conftest import Clock
from tests.unit.ledger.paired import read_twice, says
from tests.unit.shell.rollout_site import DRAIN, FakeAliases

ALIASES = {"champion": "1", "challenger": "2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--looks", type=int, default=60)
    arguments = parser.parse_args()
    say("looks")
    rows = [(number, *_looks(number, arguments.looks)) for number in arguments.models]
    print()
    print_table(("models", "first look ms", "idle ms", "elsewhere ms", "one moved ms", "all moved ms"), rows)


def _looks(models: int, looks: int) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory(prefix="serinus-") as folder:
        clock = Clock(now())
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=clock)
        site = _Site(ledger, clock, models)
        first_ms = site.timed()
        clock.at += timedelta(minutes=10)  # so that all rows are settled
        site.timed()
        found = [
            median(site.timed(before) for _ in range(looks))
            for before in (lambda: None, site.write_elsewhere, lambda: site.read(1))
        ]
        all_moved_ms = median(site.timed(lambda: site.read(models)) for _ in range(3))
        ledger.close()
    return (first_ms, *found, all_moved_ms)


class _Site:
    """Models whose challengers have read one study each."""

    def __init__(self, ledger: Ledger, clock: Clock, models: int) -> None:
        self._ledger, self._clock, self._studies = ledger, clock, 0
        self._names = [f"model-{number}" for number in range(models)]
        sources = Sources(
            store=ledger.rollouts,
            routing=ledger.routing.all,
            site=lambda: Site(),
            evidence=GatheredEvidence(ledger, 0.05),
            marks=ledger.rollout_marks.all,
            history=ledger.transitions.history,
        )
        ports = Ports(ledger.rollouts, ledger.routing, FakeAliases(), ledger.transitions)
        self._rollouts = Rollouts(sources, ports, Drains(DRAIN), DefaultRollout(), clock)
        self._sighting = _sighting(self._names)
        read_twice(ledger, "pt-0", says("1", "present"), says("2", "present"), at=clock.at)
        self._job, self._outcome = self._row(jobs), self._row(shadow_outcomes)
        self.read(models)

    def timed(self, before: Callable[[], object] = lambda: None) -> float:
        """CPU milliseconds of a look, after something happened."""
        before()
        self._clock.at += timedelta(seconds=1)
        started = time.process_time()
        self._rollouts.look(self._sighting)
        return (time.process_time() - started) * 1e3

    def write_elsewhere(self) -> None:
        self._ledger.audit.append("benchmark", "note", "elsewhere", {})

    def read(self, models: int) -> None:
        """The first models' candidates each read the study of another patient as a shadow."""
        self._studies += 1
        names = {f"{name}/{self._studies}": name for name in self._names[:models]}
        said = {"identity": f"patient:p{self._studies}", "at": self._clock.at}
        outcomes = [self._outcome | said | {"model": name, "job_id": job} for job, name in names.items()]
        with self._ledger.database.write() as connection:
            connection.execute(sa.insert(jobs), [self._job | {"id": job} for job in names])
            connection.execute(sa.insert(shadow_outcomes), outcomes)

    def _row(self, table: sa.Table) -> dict[str, object]:
        """A row as the ledger writes it."""
        with self._ledger.database.read() as connection:
            return dict(connection.execute(sa.select(table)).mappings().one())


def _sighting(models: list[str]) -> Sighting:
    registered = {name: RegisteredModel(name, dict(ALIASES)) for name in models}
    gate = GateVerdict(frozenset(Permission), False, "it is cleared for this very artifact")
    versions = {version: VersionView(version, "digest", f"app-{version}", gate) for version in ("1", "2")}
    states = {name: ReconcilerState(versions=versions, aliases=ALIASES) for name in models}
    champion, shadow = Variant("champion", "1", "digest", "app-1"), Variant("next", "2", "digest", "app-2")
    tables = {
        name: TableInForce(replace(RoutingTable(7, name, champion), shadows=(Shadow(shadow, 10_000),)), 1)
        for name in models
    }
    return Sighting(Observation(registered, registered), ControllerState(states), tables)


if __name__ == "__main__":
    main()
