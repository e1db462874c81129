"""What the API tells of a rollout in several phases: made by its own mapping from hand-written evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from canary.evidence.metric import MetricState
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import AssignedStudy, DiagnosisPair, Observation
from canary.rollout.advance import advance
from canary.rollout.evidence_told import metrics_seen
from canary.rollout.plan import RolloutPlan
from canary.rollout.plan_digest import plan_digest
from canary.rollout.seen import Approval, RolloutEvidence, Seen
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.verdict import Verdict
from ledger import RolloutEvent, StoredRollout
from serve_apps.api.rollout_mapping import detail_out
from serve_apps.application.rollouts import RolloutView
from tests.unit.canary.rollout.builders import DAY, NOON, approvals, at, begun, plan, sensitivity, world

SENSITIVITY = sensitivity(strata=("scanner",), critical=True, futility_limit=900)
PLAN = plan(metrics=(SENSITIVITY, *plan().metrics[1:]))
RIGHT = DiagnosisPair(
    positive=True, candidate_positive=True, champion_positive=True, strata=("scanner=CT-1",)
)
WRONG = replace(RIGHT, candidate_positive=False, strata=("scanner=CT-2",))
WELL = AssignedStudy(in_canary=True, failed=False, weight_bp=500)


def evidence_of(studies: Mapping[str, list[Observation]], **more: Any) -> RolloutEvidence:
    """The real evidence of what was seen by each metric, by its name with `_` for `-`."""
    named = {name.replace("_", "-"): seen for name, seen in studies.items()}
    states: dict[str, MetricState] = {
        spec.name: update_all(spec, start(spec), named.get(spec.name, ())) for spec in PLAN.metrics
    }
    metrics = metrics_seen(PLAN.metrics, states, {"latency": "nobody keeps it"})
    return RolloutEvidence(run=1, metrics=metrics, sample_ratio=Verdict.SUCCESSFUL, **more)


FEW = evidence_of({"sensitivity": [*[RIGHT] * 110, *[WRONG] * 4]})
SHOWN: dict[str, list[Observation]] = {"sensitivity": [RIGHT] * 190}
LIVE = evidence_of(
    {**SHOWN, "canary_failures": [*[WELL] * 6, replace(WELL, failed=True)]},
    exposed_studies=7,
    adverse_events=1,
    studies_by_step={4: 7},
)


def answer_of(
    status: RolloutStatus,
    evidence: RolloutEvidence | None = FEW,
    *,
    declared: RolloutPlan = PLAN,
    now: datetime = NOON + 3 * DAY,
    given: tuple[Approval, ...] = (),
    pace: float | None = 400.0,
    events: tuple[RolloutEvent, ...] = (),
    look: bool = True,
    **seen: Any,
) -> dict[str, Any]:
    """The document of one rollout after a real look at it."""
    status = replace(status, plan_digest=plan_digest(declared))
    if look:
        seen = {"weight_bp": status.weight_bp} | seen
        status = advance(declared, status, Seen(world(**seen), evidence, given), now).status
    view = RolloutView(StoredRollout(declared, status, 3), now, given, evidence, events, pace)
    return detail_out(view).model_dump(mode="json")


def event(number: int, status: RolloutStatus, reason: str, actor: str = "rollout") -> RolloutEvent:
    return RolloutEvent(number, NOON + number * timedelta(hours=5), actor, reason, status, status)


EVENTS = (
    event(3, at(1), "the shadow reads 100 % of the studies"),
    event(2, at(0), "ris/ada resumed it: the archive was down [QM-17]", "ris/ada"),
    event(1, at(0), "the rollout of version 2 against version 1 begins: ris/ada started it", "ris/ada"),
)
PROVING = answer_of(at(1), events=EVENTS)
APPROVING = answer_of(at(2), evidence_of(SHOWN), given=approvals("ris/ada:radiologist"), events=EVENTS)
CANARY = answer_of(at(4), LIVE, given=approvals("a:radiologist", "b:quality"), events=EVENTS)
PAUSED = answer_of(
    at(4, phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON, reason="ris/bob paused it: a new scanner"),
    LIVE,
    data_plane=Verdict.INCONCLUSIVE,
)
PROMOTING = answer_of(
    at(7, phase=RolloutPhase.PROMOTING, promotion_began=True),
    LIVE,
    weight_bp=500,
)
WATCHED = answer_of(
    begun(PLAN, step=7, phase=RolloutPhase.SURVEILLING, promoted_at=NOON, promotion_began=True),
    LIVE,
    champion="2",
    answering="2",
)
FAILED = answer_of(
    begun(PLAN, step=4, phase=RolloutPhase.FAILED, reason="canary-failures failed: after 9 canary studies"),
    evidence_of({**SHOWN, "canary_failures": [replace(WELL, failed=True)] * 9}, exposed_studies=200),
    look=False,
)
BLIND = answer_of(at(1), None)
ALL: Mapping[str, dict[str, Any]] = {
    "proving": PROVING,
    "approving": APPROVING,
    "canary": CANARY,
    "paused": PAUSED,
    "promoting": PROMOTING,
    "watched": WATCHED,
    "failed": FAILED,
    "blind": BLIND,
}
