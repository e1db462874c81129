"""A run's evidence computed once more from its rows, one observation after the other, to show how it came to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from canary.evidence.metric import MetricSpec, MetricState
from canary.evidence.metric_state import start
from canary.evidence.observations import Observation
from canary.evidence.storage import from_json
from canary.evidence.trajectory import Point, Replayed, Series, replay
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import RolloutStatus
from canary.routing_table import BASIS_POINTS
from canary.sample_ratio import SampleRatio, judge_ratio, observe_arms
from ledger import Ledger
from ledger.paired_feed import Versions
from ledger.set_pairs import ReadSet
from serve_apps.application.evidence_intake import Draw, Intake
from serve_apps.application.gather_evidence import END, SPLIT, split_from_json, taken_from_nothing
from serve_apps.application.paired_evidence import PairedEvidence


@dataclass(frozen=True, slots=True)
class ReplayedSplit:
    """The split draw by draw. `expected` are the draws that each arm had to get by the weights of their moments."""

    arms: Mapping[str, SampleRatio] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    series: Series = ()
    agrees: bool | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """`metrics` are those of which the ledger has rows or keeps a state, by name; `kept` are these states. `told` is
    what the rows say. `from_sets`: how many pairs of each ground-truth set count for the metrics that name some.
    """

    metrics: Mapping[str, Replayed]
    split: ReplayedSplit
    told: RolloutEvidence
    kept: Mapping[str, MetricState]
    from_sets: Mapping[str, Mapping[ReadSet, int]] = field(default_factory=dict)


def replayed(ledger: Ledger, status: RolloutStatus, plan: RolloutPlan, until: datetime = END) -> Replay:
    """Takes the rows that gathering takes, in its order. Writes nothing; takes as long as there are rows."""
    found = ledger.rollout_evidence.of_run(status.model, status.run)
    kept = {one.name: from_json(dict(found[one.name].state)) for one in plan.metrics if one.name in found}
    split = split_from_json(found[SPLIT].state) if SPLIT in found else None
    intake = _Recording(kept, split)
    told = taken_from_nothing(ledger, status, plan, intake, until=until)
    gone = {one.name: replay(one, start(one), (), kept[one.name]) for one in plan.metrics if one.name in kept}
    from_sets = _from_sets(ledger, status, plan)
    return Replay(gone | intake.metrics, intake.recorded_split, told, kept, from_sets)


def _from_sets(
    ledger: Ledger, status: RolloutStatus, plan: RolloutPlan
) -> Mapping[str, Mapping[ReadSet, int]]:
    versions = Versions(status.model, status.stable, status.candidate)
    evidence = PairedEvidence(ledger.paired_feed, ledger.set_pairs, versions, status.began_at)
    return {one.name: evidence.from_sets(one) for one in plan.metrics if one.truth_sets}


class _Recording(Intake):
    """Takes in one after the other up to what is kept, which is what was decided by."""

    def __init__(self, kept: Mapping[str, MetricState], split: Mapping[str, SampleRatio] | None) -> None:
        self._kept = kept
        self._kept_split = split
        self.metrics: dict[str, Replayed] = {}
        self.recorded_split = ReplayedSplit(agrees=None if split is None else not split)

    def metric(
        self, spec: MetricSpec, state: MetricState, observations: Iterable[Observation]
    ) -> MetricState:
        found = replay(spec, state, observations, self._kept.get(spec.name))
        self.metrics[spec.name] = found
        return found.state

    def split(self, split: Mapping[str, SampleRatio], draws: Iterable[Draw]) -> Mapping[str, SampleRatio]:
        kept = self._kept_split
        expected: dict[str, float] = {}
        series = [Point(0, 0.0)]
        arms = dict(split)
        for number, (arm, weights_bp) in enumerate(draws, 1):
            arms = observe_arms(arms, arm, weights_bp)
            expected = {
                name: expected.get(name, 0.0) + weight_bp / BASIS_POINTS
                for name, weight_bp in weights_bp.items()
            }
            series.append(Point(number, judge_ratio(arms.values()).log10_e))
            if arms == kept:
                break
        agrees = None if kept is None else arms == kept
        finite = tuple(point for point in series if not math.isinf(point.log10_e))
        self.recorded_split = ReplayedSplit(arms, expected, finite, agrees)
        return arms
