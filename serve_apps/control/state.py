"""What a controller leaves to the next: each model's reconciler state, and how the applications were last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.observation import ReconcilerState


@dataclass(frozen=True, slots=True)
class DeployedApp:
    """How an application was last run: a fingerprint of all that it was given, and whether it may be without a
    replica, and how many it was told to have; 0 where Serve itself starts one when a study comes.
    """

    fingerprint: str
    may_sleep: bool = False
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class ControllerState:
    """What a controller leaves for the next: kept in the ledger beside the snapshot that came of it.

    `registered` are the aliases as MLflow had them last, by model; those of a model's state are the ones to go by.
    Empty at the first start, and where it was lost.
    """

    models: Mapping[str, ReconcilerState] = field(default_factory=dict)
    applications: Mapping[str, DeployedApp] = field(default_factory=dict)
    registered: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, model: str) -> ReconcilerState:
        return self.models.get(model, ReconcilerState())

    def registered_of(self, model: str) -> Mapping[str, str]:
        """The model's aliases in MLflow; those to go by where an older release left no others."""
        return self.registered.get(model, self.of(model).aliases)
