"""The controller's memory on disk: last known good, so that a restart without MLflow serves what served before."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from canary.observation import Memory

MEMORIES = TypeAdapter(dict[str, Memory])


@dataclass(frozen=True, slots=True)
class ControllerMemory:
    """What the last look of each model left behind, and the number of the last fleet that was published."""

    models: Mapping[str, Memory] = field(default_factory=dict)
    generation: int = 0

    def of(self, model: str) -> Memory:
        return self.models.get(model, Memory())


class MemoryFile:
    """One JSON file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> ControllerMemory:
        """The memory, or an empty one at the first start."""
        if not self._path.exists():
            return ControllerMemory()
        document = json.loads(self._path.read_text())
        return ControllerMemory(MEMORIES.validate_python(document["models"]), document["generation"])

    def save(self, memory: ControllerMemory) -> None:
        document = {
            "generation": memory.generation,
            "models": MEMORIES.dump_python(dict(memory.models), mode="json"),
        }
        part = self._path.with_suffix(".part")
        with part.open("w") as sink:
            json.dump(document, sink)
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(self._path)
