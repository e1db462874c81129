"""A site with one model, for declared rollouts: a real ledger, hand-written MLflow, evidence and routers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from canary.gates import GateVerdict, Permission
from canary.observation import ReconcilerState, VersionView
from canary.rollout.default_plan import DefaultRollout
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import RolloutStatus
from canary.rollout.verbs import Verb, VerbKind
from canary.routing_table import Canary, RoutingTable, Shadow, Variant
from canary.verdict import Verdict
from core.errors import RegistryUnavailable
from ledger import Ledger, ModelRouting
from registry.client import RegisteredModel
from serve_apps.control.gates import GatePort, NoGates
from serve_apps.control.observe import Observation
from serve_apps.control.rollout_acts import Ports, Touched
from serve_apps.control.rollout_board import RolloutBoard
from serve_apps.control.rollout_world import Drains, Sighting, Site
from serve_apps.control.rollouts import Rollouts, Sources
from serve_apps.control.state import ControllerState
from serve_apps.control.watch import PlaneSeen, TableInForce
from tests.unit.canary.rollout.builders import GOOD, NOON, plan

MODEL = "chest-ct"
MAY_ANSWER = GateVerdict(frozenset(Permission), False, "it is cleared for this very artifact")
DRAIN = timedelta(minutes=1)


@dataclass
class FakeAliases:
    """MLflow's aliases of one model; `away` makes each move fail. `moves` are those that were made, in order."""

    names: dict[str, str] = field(default_factory=lambda: {"champion": "1", "challenger": "2"})
    away: bool = False
    moves: list[tuple[str, str]] = field(default_factory=list)

    def move_alias(self, name: str, alias: str, expected: str | None, version: str) -> bool:
        if self.away:
            raise RegistryUnavailable("MLflow does not answer")
        found = self.names.get(alias)
        if found not in (expected, version):
            return False
        self.names[alias] = version
        self.moves.append((alias, version))
        return True


@dataclass
class FakeEvidence:
    """Says what a test gives it; raises `error` instead if there is one."""

    given: RolloutEvidence | None = GOOD
    error: Exception | None = None

    def of(self, status: RolloutStatus, plan: RolloutPlan) -> RolloutEvidence | None:
        if self.error is not None:
            raise self.error
        return None if self.given is None else replace(self.given, run=status.run)


def variant(name: str, version: str) -> Variant:
    return Variant(name, version, f"digest-{version}", f"app-{version}")


class RolloutSite:
    """Version 1 is champion, 2 the challenger and a ready shadow. Every table is in force at once and is obeyed."""

    def __init__(self, ledger: Ledger, now: datetime = NOON) -> None:
        self.ledger, self.now = ledger, now
        self.aliases, self.evidence = FakeAliases(), FakeEvidence()
        self.is_frozen = False
        self.gate = MAY_ANSWER
        self.plane = Verdict.SUCCESSFUL
        self.drains = Drains(DRAIN)
        self.default = DefaultRollout(begins=False)
        self.gates: GatePort = NoGates()
        self.restart()

    def restart(self) -> None:
        """Another controller process."""
        self.board = RolloutBoard()
        sources = Sources(
            store=self.ledger.rollouts,
            routing=self.ledger.routing.all,
            site=lambda: Site(self.is_frozen, {MODEL: PlaneSeen(1, 7, self.plane)}),
            evidence=self.evidence,
            marks=lambda: {},  # so that each look asks the evidence
            history=self.ledger.transitions.history,
            board=self.board,
            gates=self.gates,
        )
        ports = Ports(self.ledger.rollouts, self.ledger.routing, self.aliases, self.ledger.transitions)
        self.rollouts = Rollouts(sources, ports, self.drains, self.default, lambda: self.now)

    @property
    def routing(self) -> ModelRouting:
        return self.ledger.routing.get(MODEL)

    @property
    def status(self) -> RolloutStatus:
        """Of the rollout that began last."""
        return self.ledger.rollouts.of_model(MODEL)[-1].status

    def sighting(self) -> Sighting:
        """What the controller has observed, and the table that it made of it."""
        names = dict(self.aliases.names)
        registered = {MODEL: RegisteredModel(MODEL, names)}
        versions = {v: VersionView(v, f"digest-{v}", f"app-{v}", self.gate) for v in ("1", "2", "3")}
        state = ControllerState({MODEL: ReconcilerState(versions=versions, aliases=names)})
        seen = Observation(None if self.aliases.away else registered, registered)
        return Sighting(seen, state, {MODEL: TableInForce(self._table(), 1)})

    def look(self, times: int = 1) -> frozenset[Touched]:
        touched: frozenset[Touched] = frozenset()
        for _ in range(times):
            touched |= self.rollouts.look(self.sighting())
        return touched

    def start(self, declared: RolloutPlan | None = None, actor: str = "ris/ada") -> bool:
        return self.rollouts.start(declared or plan(), self.sighting(), actor=actor)

    def say(self, kind: VerbKind, actor: str = "ris/ada", **words: object) -> frozenset[Touched]:
        return self.rollouts.say(MODEL, Verb(kind=kind, actor=actor, **words), self.sighting())  # type: ignore[arg-type]

    def approve(self) -> None:
        self.say(VerbKind.APPROVE, "ris/ada", role="radiologist")
        self.say(VerbKind.APPROVE, "ris/bob", role="quality")

    def pass_time(self, by: timedelta) -> None:
        self.now += by

    def _table(self) -> RoutingTable:
        names, routing = self.aliases.names, self.routing
        champion, challenger = names["champion"], names.get("challenger")
        table = RoutingTable(7, MODEL, variant("champion", champion))
        if challenger is None or challenger == champion:
            return table
        share = routing.mirror_bp if routing.version == challenger else 10_000
        table = replace(table, shadows=(Shadow(variant("challenger", challenger), share),))
        if routing.version != challenger:
            return table
        return replace(table, canary=Canary(variant("canary", challenger), routing.weight_bp, "salt"))
