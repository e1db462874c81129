"""How a look takes in what it has read of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from canary.evidence.metric import MetricSpec, MetricState
from canary.evidence.metric_state import update_all
from canary.evidence.observations import Observation
from canary.sample_ratio import SampleRatio, observe_draws

Draw = tuple[str, Mapping[str, int]]  # the arm that was hit, and the weights of that moment in basis points


class Intake:
    """All at once. A replay takes in one after the other instead, and remembers what each of them changed."""

    def metric(
        self, spec: MetricSpec, state: MetricState, observations: Iterable[Observation]
    ) -> MetricState:
        """The metric's state after these observations, in their order."""
        return update_all(spec, state, observations)

    def split(self, split: Mapping[str, SampleRatio], draws: Iterable[Draw]) -> Mapping[str, SampleRatio]:
        """The arms' sample ratios after these draws, in their order."""
        return observe_draws(split, draws)
