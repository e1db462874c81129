"""Who calls, and what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import Forbidden, JobNotFound

MAX_CALLER_NAME: Final = 64
MAX_ACTOR: Final = 128


class Scope(StrEnum):
    JOBS_WRITE = "jobs:write"
    RESULTS_READ = "results:read"
    STUDIES_WRITE = "studies:write"
    VARIANTS_CHOOSE = "variants:choose"
    TRUTH_WRITE = "truth:write"
    METRICS_READ = "metrics:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated system, by the name of its key.

    Its jobs, idempotency keys and events are its tenant's, which other keys may share. `key_id` is the key itself.
    """

    name: str
    scopes: frozenset[Scope]
    tenant: str
    key_id: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_CALLER_NAME:
            raise ValueError(f"a caller's name has 1 to {MAX_CALLER_NAME} characters")

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def confined_to(self) -> str | None:
        """The tenant whose jobs are all that this caller sees; None for an administrator, who sees all."""
        return None if self.is_admin else self.tenant

    def require(self, scope: Scope) -> None:
        """Raise Forbidden for a caller without the scope. An administrator may do everything."""
        if scope not in self.scopes and not self.is_admin:
            raise Forbidden(f"the key of this caller lacks the scope {scope.value}")

    def require_sight(self, tenant: str) -> None:
        """Raise JobNotFound for a job of another tenant, as if there were no such job."""
        if self.confined_to not in (None, tenant):
            raise JobNotFound("no such job")

    def tenant_named(self, tenant: str | None) -> str | None:
        """Whose jobs the caller asks for, None for everybody's. Raises Forbidden for another tenant's."""
        if tenant is not None and self.confined_to not in (None, tenant):
            raise Forbidden("only an administrator sees what another tenant has")
        return tenant or self.confined_to


def digest_of(key: str) -> str:
    """What is kept of a key: its sha256. A key has 256 random bits, so that no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()
