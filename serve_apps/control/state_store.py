"""The controller's state on disk: last known good, so that a restart without MLflow serves what served before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from canary.observation import ReconcilerState
from core.atomic_write import atomic_write

MEMORIES = TypeAdapter(dict[str, ReconcilerState])


@dataclass(frozen=True, slots=True)
class ControllerState:
    """What the last look of each model left behind, and the number of the last snapshot that was published."""

    models: Mapping[str, ReconcilerState] = field(default_factory=dict)
    generation: int = 0

    def of(self, model: str) -> ReconcilerState:
        return self.models.get(model, ReconcilerState())


class MemoryFile:
    """One JSON file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> ControllerState:
        """The state, or an empty one at the first start."""
        if not self._path.exists():
            return ControllerState()
        document = json.loads(self._path.read_text())
        return ControllerState(MEMORIES.validate_python(document["models"]), document["generation"])

    def save(self, state: ControllerState) -> None:
        document = {
            "generation": state.generation,
            "models": MEMORIES.dump_python(dict(state.models), mode="json"),
        }
        atomic_write(self._path, json.dumps(document).encode())
