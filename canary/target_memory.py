"""The targets of all models, computed anew only for those of which something changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from canary.observation import ModelObservation
from canary.target import ModelTarget, Target, target_of


class TargetMemory:
    """Gives what `canary.target.target` gives. A site with hundreds of models changes one of them at a time."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[ModelObservation, ModelTarget]] = {}

    def target(self, observations: Iterable[ModelObservation]) -> Target:
        """The target of all models, in the order of their names."""
        ordered = sorted(observations, key=lambda observation: observation.model)
        self._last = {observation.model: self._of(observation) for observation in ordered}
        return Target(tuple(target for _, target in self._last.values()))

    def _of(self, observation: ModelObservation) -> tuple[ModelObservation, ModelTarget]:
        former = self._last.get(observation.model)
        if former is None or is_timed(*former) or replace(observation, now_s=former[0].now_s) != former[0]:
            return observation, target_of(observation)
        return former


def is_timed(observation: ModelObservation, target: ModelTarget) -> bool:
    """Whether the same observation may have another target later: something in it ends by the clock."""
    rollout = observation.rollout
    ends = (observation.state.retired, observation.state.missing_since, target.state.retired)
    return any(ends) or bool(target.state.missing_since) or bool(rollout and rollout.in_advance_until_s)
