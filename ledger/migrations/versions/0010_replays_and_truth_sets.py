"""Replays, ground-truth sets and their runs. A pair tells from now on as what the second version read the study.

A task tells what asked for it, and when it was tried first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("champion", sa.String(64), nullable=False),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("since", sa.BigInteger),
        sa.Column("run", sa.Integer),
        sa.Column("studies", sa.Integer),
        sa.Column("known", sa.Integer),
        sa.Column("asked", sa.Integer),
        sa.Column("canceled_at", sa.BigInteger),
        sa.Column("taken_back", sa.Integer, nullable=False),
    )
    op.create_index("replays_by_time", "replays", ["model", "at"])
    op.add_column("shadow_tasks", sa.Column("batch", sa.String(32)))
    op.add_column("shadow_tasks", sa.Column("first_tried_at", sa.BigInteger))
    op.add_column("shadow_outcomes", sa.Column("batch", sa.String(32)))
    op.add_column("paired_readings", sa.Column("role", sa.String(16)))
    of_batch = sa.text("batch IS NOT NULL")
    op.create_index(
        "shadow_tasks_of_batch",
        "shadow_tasks",
        ["batch", "state"],
        sqlite_where=of_batch,
        postgresql_where=of_batch,
    )
    op.create_index(
        "shadow_outcomes_of_batch",
        "shadow_outcomes",
        ["batch"],
        sqlite_where=of_batch,
        postgresql_where=of_batch,
    )
    _truth_sets()


def _truth_sets() -> None:
    op.create_table(
        "truth_sets",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("studies", sa.Integer, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
    )
    op.create_table(
        "truth_set_studies",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("truths", sa.JSON, nullable=False),
    )
    op.create_table(
        "truth_set_schedules",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("every_s", sa.Integer),
    )
    op.create_table(
        "truth_set_runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("set_version", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(128), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("studies", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("truth_set_runs_by_time", "truth_set_runs", ["name", "at"])
