"""What is known of each metric of a run, as JSON, with the place up to which the ledger was read for it.

Nothing here that the rows of decisions, shadows and truths would not give again: it is kept so that a look need not
read them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ledger.database import Database
from ledger.limits import require_fits
from ledger.tables import rollout_evidence


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """One metric of a run. `cursor` says up to where the rows were taken in; `state` is what they made."""

    state: Mapping[str, Any]
    cursor: Mapping[str, Any]
    updated_at: datetime


class RolloutEvidences:
    """State and cursor of a metric are written together or not at all."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_run(self, model: str, run: int) -> Mapping[str, KeptEvidence]:
        """By the metric's name."""
        its = (rollout_evidence.c.model == model) & (rollout_evidence.c.run == run)
        with self._db.read() as connection:
            rows = connection.execute(sa.select(rollout_evidence).where(its)).mappings()
            return {
                row["metric"]: KeptEvidence(row["state"], row["cursor"], row["updated_at"]) for row in rows
            }

    def keep(
        self, model: str, run: int, metrics: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """Put (state, cursor) of each metric in the place of what was kept, all in one transaction."""
        if not metrics:
            return
        with self._db.write() as connection:
            over = self._db.insert_over(rollout_evidence, ("model", "run", "metric"))
            at = self._db.now(connection)
            for metric, (state, cursor) in sorted(metrics.items()):
                key = {"model": model, "run": run, "metric": metric}
                require_fits(rollout_evidence, key)
                row = key | {"state": dict(state), "cursor": dict(cursor), "updated_at": at}
                connection.execute(over, row)
