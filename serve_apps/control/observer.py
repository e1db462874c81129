"""Looks at what is true now: MLflow's aliases, the admitted versions, the phases of their applications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from canary.observation import AppPhase, is_ours
from core.errors import RegistryUnavailable
from registry.client import RegisteredModel, RegistryClient
from serve_apps.control.admission import AdmissionController, Admitted, Refused
from serve_apps.control.app_phases import AppPhases
from serve_apps.control.state_store import ControllerState

Key = tuple[str, str]  # model, version


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look saw. `registry` is None while MLflow does not answer; `failures` say why applications failed."""

    registry: Mapping[str, RegisteredModel] | None
    admitted: Mapping[Key, Admitted]
    refused: Mapping[Key, Refused]
    phases: Mapping[str, AppPhase]
    failures: Mapping[str, str] = field(default_factory=dict)


class Observer:
    """MLflow is asked as often as the site says; Serve and the admission desk at every look."""

    def __init__(
        self,
        client: RegistryClient,
        desk: AdmissionController,
        phases: AppPhases,
        registry_poll_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._desk = desk
        self._phases = phases
        self._poll_s = registry_poll_s
        self._clock = clock
        self._registry: Mapping[str, RegisteredModel] | None = None
        self._ask_registry_at = 0.0

    def expire(self) -> None:
        """Something changed in MLflow: ask it anew at the next look, for aliases and tags."""
        self._ask_registry_at = 0.0
        self._desk.expire()

    async def observe(self, state: ControllerState) -> Observation:
        registry = await self._aliases()
        admitted: dict[Key, Admitted] = {}
        refused: dict[Key, Refused] = {}
        for key in named(registry, state):
            answer = self._desk.look(*key)
            if isinstance(answer, Admitted):
                admitted[key] = answer
            elif isinstance(answer, Refused):
                refused[key] = answer
        phases = await self._phases.look()
        return Observation(registry, admitted, refused, phases, dict(self._phases.failures))

    async def _aliases(self) -> Mapping[str, RegisteredModel] | None:
        if self._clock() < self._ask_registry_at:
            return self._registry
        self._ask_registry_at = self._clock() + self._poll_s
        try:
            self._registry = await asyncio.to_thread(self._client.models)
        except RegistryUnavailable:
            self._registry = None
        return self._registry


def named(registry: Mapping[str, RegisteredModel] | None, state: ControllerState) -> set[Key]:
    """Every version that an alias of ours names now, or that we remember."""
    pointed = {
        (name, version)
        for name, model in (registry or {}).items()
        for alias, version in model.aliases.items()
        if is_ours(alias)
    }
    remembered = {(name, version) for name, known in state.models.items() for version in known.versions}
    return pointed | remembered
