"""Where the evidence on a rollout comes from."""

from __future__ import annotations

from typing import Protocol

from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import RolloutStatus


class EvidencePort(Protocol):
    """Computes what the ledger's rows say of one run of a model's rollout."""

    def of(self, status: RolloutStatus, plan: RolloutPlan) -> RolloutEvidence | None:
        """None while nothing was computed yet. May raise: then nothing is known, too.

        `status` tells which run, when it began, and which versions it compares.
        """
        ...
