"""What one `serinus up` started, as the state folder remembers it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from core.atomic_write import atomic_write


@dataclass(frozen=True, slots=True)
class Stack:
    """The identity of a stack, and the leaders that end their own children in order; kept in `stack.json`."""

    id: str
    ray_pid: int | None = None
    mlflow_pid: int | None = None

    @classmethod
    def load(cls, path: Path) -> Stack | None:
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def save(self, path: Path) -> None:
        atomic_write(path, json.dumps(asdict(self)).encode())
