"""What is true at one look: evidence, approvals, what gates said, and the world as registry and routers show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from canary.evidence.metric import Measurement, MetricPhase
from canary.rollout.gate import GateAnswer
from canary.routing_table import BASIS_POINTS, Slot
from canary.verdict import Verdict


@dataclass(frozen=True, slots=True)
class MetricSeen:
    """What one metric of the plan says now, in one sentence. `observed`: how many studies or pairs it has.

    `measured` holds the numbers behind it, for whoever shows them; None where it has none.
    """

    metric: str
    phase: MetricPhase
    reason: str
    observed: int = 0
    measured: Measurement | None = None

    @property
    def log10_e_harm(self) -> float | None:
        return None if self.measured is None else self.measured.log10_e_harm

    @property
    def log10_e_non_inferiority(self) -> float | None:
        return None if self.measured is None else self.measured.log10_e_non_inferiority


@dataclass(frozen=True, slots=True)
class RolloutEvidence:
    """What is known of one run. That of another run counts as none.

    `exposed_studies` are those that the candidate answered below a weight of 100 %, `adverse_events` among all that
    it answered. `studies_by_step` are those that it answered while a step was under way. `observed_share`: of the
    patients who were drawn, the share that was drawn for it.
    """

    run: int
    metrics: Mapping[str, MetricSeen]
    exposed_studies: int = 0
    adverse_events: int = 0
    studies_by_step: Mapping[int, int] = field(default_factory=dict)
    sample_ratio: Verdict = Verdict.INCONCLUSIVE
    observed_share: float | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A person approved a step of a run, in a role."""

    run: int
    step: int
    role: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How registry and routers stand. The aliases are the last known ones while `registry_answers` is false.

    `weight_bp`, `mirror_bp` and `slot` are what the ledger grants the candidate; `hand_revision` numbers the decision
    about the weight that is in force, if a person took it. `shadow_ready`: the candidate is ready and reads
    the share that it is granted. `may_answer`: the regulatory gate lets it answer; else `gate_reason` says why not.
    `data_plane`: do the routers do what the table in force says? `answering` is the version that really answers as
    champion. `is_drained`: no study is in the hands of the former one. `is_frozen` is the site's kill switch.
    `former_champions`: versions that were champion, the last one first.
    """

    champion: str | None
    challenger: str | None
    previous: str | None = None
    registry_answers: bool = True
    weight_bp: int = 0
    slot: Slot | None = None
    hand_revision: int | None = None
    mirror_bp: int = BASIS_POINTS
    shadow_ready: bool = False
    may_answer: bool = True
    gate_reason: str = ""
    data_plane: Verdict = Verdict.INCONCLUSIVE
    answering: str | None = None
    is_drained: bool = False
    is_frozen: bool = False
    former_champions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it. `evidence` is None while the ledger does not answer, or nothing was computed yet.

    `gates` are the last answers of the outside systems that the plan asks.
    """

    world: World
    evidence: RolloutEvidence | None = None
    approvals: tuple[Approval, ...] = ()
    gates: tuple[GateAnswer, ...] = ()
