"""What the site keeps for itself: keys, the audit, routing, and the controller's state."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

api_keys = sa.Table(  # of a key only its digest is kept
    "api_keys",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sa.Column("last_used_on", sa.Date),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)

# MLflow takes aliases of up to 255 characters, and a variant or an arm is called by its alias.
routing = sa.Table(
    "routing",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

routing_site = sa.Table(
    "routing_site",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # there is one site
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("freeze", sa.JSON(none_as_null=True)),
)

control_state = sa.Table(
    "control_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # there is one site
    sa.Column("leader_epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("renewed_at", UtcTime, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # of the snapshot, like all that follows
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("published_at", UtcTime),
    sa.Column("snapshot", sa.Text),
    sa.Column("states", sa.Text),
    sa.Column("digest", sa.String(64)),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("alias", sa.String(255), nullable=False),
    sa.Column("old", sa.String(64)),
    sa.Column("new", sa.String(64)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("transitions_of_alias", "model", "alias", "sequence"),
)
