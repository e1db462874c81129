"""What two versions of a study are compared by: how it ended for each, how long each worked, and how they overlap.

Pairs that were taken before tell who failed, and neither times nor scores. What is added behind all that was there is
told apart from what changes it, so that a look need not read everything again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

KEY = ("model", "champion", "candidate", "patient")
ABOUT = ("at", "study_key", "job_id", "seen_at", "tenant", "site", "modality", "scanner")
FORMER_PAIRS = """
    INSERT INTO paired_studies ({key}, {about}, champion_ended, candidate_ended)
    SELECT {key}, {about}, {champion}, {candidate} FROM paired_readings AS r
    WHERE r.champion_says <> '' AND NOT EXISTS (
        SELECT 1 FROM paired_readings AS e
        WHERE e.patient = r.patient AND e.model = r.model AND e.champion = r.champion
        AND e.candidate = r.candidate AND e.champion_says <> ''
        AND (e.at < r.at OR (e.at = r.at AND e.id < r.id))
    )
"""
ENDED = """
    CASE WHEN r.{side}_says <> 'no-result' THEN 'read'
    WHEN EXISTS (
        SELECT 1 FROM shadow_outcomes AS o
        WHERE o.job_id = r.job_id AND o.version = r.{side}
        AND o.error_code IN ('input-out-of-distribution', 'outside-intended-use')
    ) THEN 'refused' ELSE 'failed' END
"""
LATEST_CHANGE = """
    UPDATE pairing SET changed_at = (
        SELECT max(moments.at) FROM (
            SELECT max(at) AS at FROM paired_readings WHERE model = pairing.model
            UNION ALL SELECT max(at) FROM truths WHERE model = pairing.model
            UNION ALL SELECT max(withdrawn_at) FROM truths WHERE model = pairing.model
        ) AS moments
    )
"""


def upgrade() -> None:
    op.add_column("shadow_tasks", sa.Column("mask", sa.LargeBinary))
    for name in ("champion_score", "candidate_score"):
        op.add_column("paired_readings", sa.Column(name, sa.Float))
    op.create_index("paired_readings_by_arrival", "paired_readings", ["model", "champion", "candidate", "at"])
    op.create_index("paired_readings_by_patient", "paired_readings", ["patient", "model"])
    op.create_index("paired_readings_by_study", "paired_readings", ["study_key", "model"])
    op.create_index("truths_by_arrival", "truths", ["model", "at"])
    op.add_column("pairing", sa.Column("rewrites", sa.Integer, nullable=False, server_default="0"))
    op.add_column("pairing", sa.Column("changed_at", sa.BigInteger))
    _paired_studies()
    op.execute(LATEST_CHANGE)


def _paired_studies() -> None:
    op.create_table(
        "paired_studies",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("champion", sa.String(64), primary_key=True),
        sa.Column("candidate", sa.String(64), primary_key=True),
        sa.Column("patient", sa.String(200), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(64), nullable=False),
        sa.Column("scanner", sa.Text, nullable=False),
        sa.Column("champion_ended", sa.String(16), nullable=False),
        sa.Column("candidate_ended", sa.String(16), nullable=False),
        sa.Column("champion_ms", sa.Float),
        sa.Column("candidate_ms", sa.Float),
        sa.Column("overlap", sa.Float),
    )
    op.create_index("paired_studies_by_arrival", "paired_studies", ["model", "champion", "candidate", "at"])
    sides = {side: ENDED.format(side=side) for side in ("champion", "candidate")}
    key, about = ", ".join(KEY), ", ".join(ABOUT)
    op.execute(FORMER_PAIRS.format(key=key, about=about, **sides))
