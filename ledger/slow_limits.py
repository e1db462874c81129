"""Above how many seconds a study of a day counts as slow, by modality: fixed once a day, from what metrics know then.

So whatever asks about a record, a metric's exemplar or a sink that was away for hours, decides alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json
from ledger.database import Database
from ledger.tables import metric_series, slow_limits
from ledger.tables.base import EPOCH
from observability.metrics.instruments import STUDY_SECONDS
from observability.metrics.series import Series
from observability.metrics.slow import limits_of

MODALITY: Final = STUDY_SECONDS.labels.index("modality")


def slow_limits_of(database: Database, connection: Connection, at: datetime) -> Mapping[str, float]:
    """The limits of the day (UTC) of `at`, made if nobody has asked for them yet. Writes."""
    day = (at - EPOCH).days
    asked = sa.select(slow_limits.c.document).where(slow_limits.c.day == day)
    found = connection.execute(asked).scalar_one_or_none()
    if found is None:
        row = {"day": day, "document": json.dumps(_limits(connection))}
        connection.execute(database.insert_once(slow_limits, ("day",)), row)
        found = connection.execute(asked).scalar_one()
    limits: Mapping[str, float] = json.loads(found)
    return limits


def _limits(connection: Connection) -> Mapping[str, float]:
    known = sa.select(metric_series.c.labels, metric_series.c.document).where(
        metric_series.c.name == STUDY_SECONDS.name
    )
    rows = connection.execute(known).all()
    return limits_of((json.loads(row.labels)[MODALITY], from_json(Series, row.document)) for row in rows)
