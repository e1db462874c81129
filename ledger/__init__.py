"""What must survive a crash: jobs, outbox, control state, routing, decisions, rollouts, recalls, shadows, truths,
costs, audit."""

from canary.disclosure import Audience
from core.retry import RetryPolicy
from ledger.ab_results import ABResults
from ledger.adjudications import Adjudications
from ledger.audit import Audit
from ledger.audit_anchor import AuditAnchor, AuditLook
from ledger.callbacks import CALLBACK, callback_of_failure, callback_of_result
from ledger.control_state import ControlHead, ControlRecord, ControlState
from ledger.cost_charges import CostCharges
from ledger.cost_records import CostSums
from ledger.cost_spending import CostSpending, HourOfCosts, Spent, SpentOn
from ledger.costs import Costs
from ledger.database import Clock, Database
from ledger.decisions import AssignedGroup, Decisions, Exposure, StoredDecision
from ledger.drift import DriftCounts
from ledger.drift_references import DriftReferences, NewReference
from ledger.drift_truths import DriftTruths
from ledger.drift_verdicts import DriftSeen, DriftVerdicts, SignalSeen, StoredVerdict
from ledger.escalations import EscalationEvent, Escalations
from ledger.failures import Failures
from ledger.jobs import Jobs
from ledger.keys import ApiKey, Keys, NewKey, new_key_id
from ledger.leases import Leases
from ledger.log_size import WriteAheadLog
from ledger.metric_series import MetricSeries
from ledger.outbox import Outbox
from ledger.paired_feed import PairedFeed
from ledger.paired_truths import PairedTruths
from ledger.pairs import Pairs
from ledger.past_readings import PastReadings
from ledger.readings import Readings, TakenTurn
from ledger.recall_lists import RecallLists
from ledger.recall_records import (
    ComparedItem,
    NewRecall,
    NewRecallItem,
    OpenRecall,
    Recall,
    RecalledStudy,
    RecallItem,
    Reread,
    SentDocument,
    ToReread,
    WithdrawnRun,
)
from ledger.recalled_studies import RecalledStudies
from ledger.recalls import NOT_KEPT, Recalls
from ledger.records import (
    FAILURE_SR,
    SR,
    AuditRow,
    ClaimedDelivery,
    ClaimedJob,
    DeadLetter,
    Delivery,
    DueJob,
    FormerReports,
    Job,
    JobRequest,
    LeaseLost,
    Submitted,
    WaitingJobs,
)
from ledger.replay_records import AnsweredReading, BatchCounts, NewReplay, ReplayState, StoredReplay
from ledger.replays import Replays
from ledger.retention import KeptFor, Retention, StudyUse
from ledger.rollout_evidence import KeptEvidence, RolloutEvidences
from ledger.rollout_feed import RolloutFeed
from ledger.rollout_marks import RolloutMarks
from ledger.rollout_notices import NOTICE
from ledger.rollouts import RolloutEvent, Rollouts, StoredRollout
from ledger.routing import Routing
from ledger.routing_records import Freeze, ModelRouting, Pin
from ledger.set_pairs import SetPairs
from ledger.shadow_records import ClaimedShadow, PairedResult, ShadowResult, ShadowTask
from ledger.shadows import ShadowTasks
from ledger.state import FINISHED, HAS_RESULT, JobState, Priority
from ledger.study_marks import StudyMarks
from ledger.study_records import StoredRecord, StudyRecords
from ledger.trace_feed import TraceBatch, TraceFeed
from ledger.transitions import Transition, Transitions
from ledger.truth_records import (
    AddedTruth,
    AnsweredAdjudication,
    NewTruth,
    OpenAdjudication,
    PairCounts,
    StoredTruth,
)
from ledger.truth_set_records import StoredRun, StoredSet
from ledger.truth_set_runs import TruthSetRuns
from ledger.truth_sets import TruthSets
from ledger.truths import Truths
from ledger.version_digests import StampedDigest, VersionDigests
from ledger.waiting import WaitingStudies
from ledger.waiting_work import Waiting, WaitingWork

DEFAULT_POLICY = RetryPolicy()


class Ledger:
    """One database and the things that are kept in it, each as long as it is needed."""

    def __init__(self, database: Database, policy: RetryPolicy = DEFAULT_POLICY) -> None:
        self.database = database
        self.jobs = Jobs(database)
        self.leases = Leases(database, policy)
        self.failures = Failures(database)
        self.readings = Readings(database)
        self.outbox = Outbox(database, policy)
        self.control = ControlState(database)
        self.audit = Audit(database)
        self.study_records = StudyRecords(database)
        self.costs = Costs(database, self.study_records)
        self.cost_charges = CostCharges(database, self.costs)
        self.cost_spending = CostSpending(database, self.costs)
        self.retention = Retention(database, self.audit)
        self.log = WriteAheadLog(database.file)
        self.routing = Routing(database, self.audit)
        self.transitions = Transitions(database, self.audit)
        self.decisions = Decisions(database)
        self.ab_results = ABResults(database)
        self.waiting_work = WaitingWork(database)
        self.shadows = ShadowTasks(database, self.audit, policy, self.waiting_work)
        self.past_readings = PastReadings(database)
        self.replays = Replays(database, self.audit, self.shadows)
        self.escalations = Escalations(database)
        self.keys = Keys(database, self.audit)
        self.truths = Truths(database, self.audit)
        self.truth_sets = TruthSets(database, self.audit)
        self.truth_set_runs = TruthSetRuns(database, self.audit)
        self.pairs = Pairs(database)
        self.adjudications = Adjudications(database, self.truths)
        self.paired_truths = PairedTruths(database)
        self.paired_feed = PairedFeed(database)
        self.set_pairs = SetPairs(database)
        self.rollout_feed = RolloutFeed(database)
        self.rollouts = Rollouts(database, self.audit)
        self.rollout_evidence = RolloutEvidences(database)
        self.rollout_marks = RolloutMarks(database)
        self.recalls = Recalls(database, self.audit)
        self.recalled_studies = RecalledStudies(database)
        self.recall_lists = RecallLists(database)
        self.version_digests = VersionDigests(database)
        self.study_marks = StudyMarks(database)
        self.metrics = MetricSeries(database, self.study_records, self.study_marks)
        self.traces = TraceFeed(database, self.study_records)
        self.drift = DriftCounts(database, self.study_records)
        self.drift_references = DriftReferences(database, self.study_records, self.audit)
        self.drift_truths = DriftTruths(database)
        self.drift_verdicts = DriftVerdicts(database, self.audit)
        self.waiting = WaitingStudies(database)

    @classmethod
    def open(cls, url: str, policy: RetryPolicy = DEFAULT_POLICY, clock: Clock | None = None) -> "Ledger":
        """Open the ledger at `url`, making its schema when it is new. Safe from many processes at once.

        `clock` stands for the database's time in tests. Raises LedgerUnavailable, or WrongSchema.
        """
        return cls(Database(url, clock), policy)

    def close(self) -> None:
        self.database.close()


__all__ = [
    "CALLBACK",
    "FAILURE_SR",
    "FINISHED",
    "HAS_RESULT",
    "NOTICE",
    "NOT_KEPT",
    "SR",
    "AddedTruth",
    "AnsweredAdjudication",
    "AnsweredReading",
    "ApiKey",
    "AssignedGroup",
    "Audience",
    "AuditAnchor",
    "AuditLook",
    "AuditRow",
    "BatchCounts",
    "ClaimedDelivery",
    "ClaimedJob",
    "ClaimedShadow",
    "ComparedItem",
    "ControlHead",
    "ControlRecord",
    "CostSums",
    "DeadLetter",
    "Delivery",
    "DriftSeen",
    "DueJob",
    "EscalationEvent",
    "Exposure",
    "FormerReports",
    "Freeze",
    "HourOfCosts",
    "Job",
    "JobRequest",
    "JobState",
    "KeptEvidence",
    "KeptFor",
    "LeaseLost",
    "Ledger",
    "ModelRouting",
    "NewKey",
    "NewRecall",
    "NewRecallItem",
    "NewReference",
    "NewReplay",
    "NewTruth",
    "OpenAdjudication",
    "OpenRecall",
    "PairCounts",
    "PairedResult",
    "Pin",
    "Priority",
    "Recall",
    "RecallItem",
    "RecalledStudy",
    "ReplayState",
    "Reread",
    "RolloutEvent",
    "SentDocument",
    "ShadowResult",
    "ShadowTask",
    "SignalSeen",
    "Spent",
    "SpentOn",
    "StampedDigest",
    "StoredDecision",
    "StoredRecord",
    "StoredReplay",
    "StoredRollout",
    "StoredRun",
    "StoredSet",
    "StoredTruth",
    "StoredVerdict",
    "StudyUse",
    "Submitted",
    "TakenTurn",
    "ToReread",
    "TraceBatch",
    "TraceFeed",
    "Transition",
    "Waiting",
    "WaitingJobs",
    "WithdrawnRun",
    "callback_of_failure",
    "callback_of_result",
    "new_key_id",
]
