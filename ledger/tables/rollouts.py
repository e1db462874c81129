"""Declared rollouts, and the recall of a version that was withdrawn."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

rollouts = sa.Table(  # one run of a model's rollout; a change is made for the `revision` that was read
    "rollouts",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("plan_digest", sa.String(64), nullable=False),
    sa.Column("status", sa.JSON, nullable=False),
    sa.Column("began_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

rollout_events = sa.Table(  # append only: what a run went through, and who or what moved it
    "rollout_events",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1 in each run
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("before", sa.JSON(none_as_null=True)),  # nothing, of the beginning
    sa.Column("after", sa.JSON, nullable=False),
)

rollout_approvals = sa.Table(
    "rollout_approvals",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("role", sa.String(64), primary_key=True),
    sa.Column("actor", sa.String(128), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
)

rollout_evidence = sa.Table(  # what a run knows of a metric, and up to where the ledger was read for it
    "rollout_evidence",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("metric", sa.String(96), primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("cursor", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

recalls = sa.Table(  # a withdrawal of a version: which of its studies are to be looked at again
    "recalls",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("run", sa.Integer),  # of the rollout; none if a person asked for another time
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("taken_up_to", UtcTime, nullable=False),  # studies that were answered by then are on the list
    sa.Column("is_complete", sa.Boolean, nullable=False),
    sa.UniqueConstraint("model", "run"),
    sa.Index("recalls_by_model", "model", "made_at"),
)

recall_items = sa.Table(  # what a withdrawn version answered a job; one row of a study and tenant is the item
    "recall_items",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("recall_id", sa.String(32), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("reading_id", sa.String(32), nullable=False),  # the job whose reading it has: mostly itself
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("answered_at", UtcTime, nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("delivered", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("difference", sa.String(16)),
    sa.Column("delivered_missed", sa.Boolean, nullable=False),
    sa.Column("score_change", sa.Integer),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("champion", sa.String(64)),
    sa.Column("reread", sa.JSON(none_as_null=True)),
    sa.Column("reread_at", UtcTime),
    sa.Column("error_code", sa.String(64)),
    sa.Column("open_since", UtcTime),  # while a person has to look at it
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(128)),
    sa.UniqueConstraint("recall_id", "job_id"),
    sa.Index("recall_items_by_state", "recall_id", "state"),
)
sa.Index(
    "recall_items_open",
    recall_items.c.recall_id,
    recall_items.c.difference,
    sqlite_where=recall_items.c.open_since.is_not(None),
    postgresql_where=recall_items.c.open_since.is_not(None),
)

recall_notes = sa.Table(  # apart, since a note may name anything: it goes with what names a study
    "recall_notes",
    metadata,
    sa.Column("item_id", sa.String(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
)
