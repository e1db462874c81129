"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import Forbidden

MAX_CALLER_NAME: Final = 64
MAX_ACTOR: Final = 128


class Scope(StrEnum):
    JOBS_WRITE = "jobs:write"
    RESULTS_READ = "results:read"
    STUDIES_WRITE = "studies:write"
    VARIANTS_CHOOSE = "variants:choose"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated system. Its name is the tenant that idempotency keys and coalescing are scoped to."""

    name: str
    scopes: frozenset[Scope]

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_CALLER_NAME:
            raise ValueError(f"a caller's name has 1 to {MAX_CALLER_NAME} characters")

    def require(self, scope: Scope) -> None:
        """Raise Forbidden for a caller without the scope. An administrator may do everything."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise Forbidden(f"the key of this caller lacks the scope {scope.value}")
