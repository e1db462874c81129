"""What must survive a crash: jobs, results, the outbox, routing and its decisions, silent readings, the audit."""

from ledger.ab_results import ABResults
from ledger.audit import Audit
from ledger.database import Database
from ledger.decisions import Decisions, Exposure, StoredDecision
from ledger.escalations import EscalationEvent, Escalations
from ledger.jobs import Jobs
from ledger.leases import Leases
from ledger.outbox import Outbox
from ledger.records import (
    AuditRow,
    ClaimedDelivery,
    ClaimedJob,
    Delivery,
    Job,
    JobRequest,
    LeaseLost,
    Submitted,
)
from ledger.retention import Retention
from ledger.routing import Routing
from ledger.routing_records import Freeze, ModelRouting, Pin
from ledger.shadow_records import ClaimedShadow, PairedResult, ShadowResult, ShadowTask
from ledger.shadows import ShadowTasks
from ledger.state import FINISHED, JobState, Priority
from ledger.transitions import Transition, Transitions


class Ledger:
    """One database and the things that are kept in it, each as long as it is needed."""

    def __init__(self, database: Database, max_attempts: int = 8) -> None:
        self.database = database
        self.jobs = Jobs(database)
        self.leases = Leases(database, max_attempts)
        self.outbox = Outbox(database)
        self.audit = Audit(database)
        self.retention = Retention(database)
        self.routing = Routing(database, self.audit)
        self.transitions = Transitions(database, self.audit)
        self.decisions = Decisions(database)
        self.ab_results = ABResults(database)
        self.shadows = ShadowTasks(database, self.audit)
        self.escalations = Escalations(database)

    @classmethod
    def open(cls, url: str, max_attempts: int = 8) -> "Ledger":
        """Open the ledger at `url`, making its schema when it is new. Safe from many processes at once."""
        return cls(Database(url), max_attempts)

    def close(self) -> None:
        self.database.close()


__all__ = [
    "FINISHED",
    "AuditRow",
    "ClaimedDelivery",
    "ClaimedJob",
    "ClaimedShadow",
    "Delivery",
    "EscalationEvent",
    "Exposure",
    "Freeze",
    "Job",
    "JobRequest",
    "JobState",
    "LeaseLost",
    "Ledger",
    "ModelRouting",
    "PairedResult",
    "Pin",
    "Priority",
    "ShadowResult",
    "ShadowTask",
    "StoredDecision",
    "Submitted",
    "Transition",
]
