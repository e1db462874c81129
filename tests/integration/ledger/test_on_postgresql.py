"""Every claim about the ledger once more, on PostgreSQL: the fixture `ledger` of this folder is one."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.postgres import Postgres
from tests.unit.ledger.test_audit import *  # noqa: F403
from tests.unit.ledger.test_control_state import *  # noqa: F403
from tests.unit.ledger.test_cost_charges import *  # noqa: F403
from tests.unit.ledger.test_costs import *  # noqa: F403
from tests.unit.ledger.test_decisions import *  # noqa: F403
from tests.unit.ledger.test_drift_counts import *  # noqa: F403
from tests.unit.ledger.test_escalations import *  # noqa: F403
from tests.unit.ledger.test_gathered_evidence import *  # noqa: F403
from tests.unit.ledger.test_jobs import *  # noqa: F403
from tests.unit.ledger.test_joining import *  # noqa: F403
from tests.unit.ledger.test_leases import *  # noqa: F403
from tests.unit.ledger.test_ledger_machine import LedgerMachine
from tests.unit.ledger.test_measured_evidence import *  # noqa: F403
from tests.unit.ledger.test_migrations import *  # noqa: F403
from tests.unit.ledger.test_outbox import *  # noqa: F403
from tests.unit.ledger.test_pairing import *  # noqa: F403
from tests.unit.ledger.test_readings import *  # noqa: F403
from tests.unit.ledger.test_recall_items import *  # noqa: F403
from tests.unit.ledger.test_recalls import *  # noqa: F403
from tests.unit.ledger.test_replays import *  # noqa: F403
from tests.unit.ledger.test_retention import *  # noqa: F403
from tests.unit.ledger.test_rollout_notices import *  # noqa: F403
from tests.unit.ledger.test_rollouts import *  # noqa: F403
from tests.unit.ledger.test_routing import *  # noqa: F403
from tests.unit.ledger.test_set_evidence import *  # noqa: F403
from tests.unit.ledger.test_shadow_machine import ShadowMachine
from tests.unit.ledger.test_shadows import *  # noqa: F403
from tests.unit.ledger.test_study_marks import *  # noqa: F403
from tests.unit.ledger.test_study_records import *  # noqa: F403
from tests.unit.ledger.test_trace_feed import *  # noqa: F403
from tests.unit.ledger.test_transitions import *  # noqa: F403
from tests.unit.ledger.test_truth_sets import *  # noqa: F403
from tests.unit.ledger.test_truths import *  # noqa: F403
from tests.unit.ledger.test_waiting import *  # noqa: F403


class PostgresqlMachine(LedgerMachine):
    server: Postgres

    def new_url(self) -> str:
        return self.server.new_database()


class PostgresqlShadowMachine(ShadowMachine):
    server: Postgres

    def new_url(self) -> str:
        return self.server.new_database()


@pytest.fixture(scope="module", autouse=True)
def server_of_the_machines(postgres: Postgres) -> None:
    PostgresqlMachine.server = PostgresqlShadowMachine.server = postgres


TestPostgresqlMachine = PostgresqlMachine.TestCase
TestPostgresqlMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)

TestPostgresqlShadowMachine = PostgresqlShadowMachine.TestCase
TestPostgresqlShadowMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
