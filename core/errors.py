"""Every error that Serinus raises on purpose, as one tree.

The leaves carry a stable `code`, which is what a caller may program against (`serve_apps.api.problems` maps codes to
HTTP), and the class of failure that says whether and how the same work is tried again (`core.retry`). A message never
holds a patient datum: no UID, no tag value, no URL. The arguments go through `super().__init__`, so that an error
survives pickling between actors.

    SerinusError
    ├── SourceError            the PACS, bucket or folder did not give us the study
    │   ├── StudyNotFound · SourceUnavailable · SourceTimeout · StudyTooLarge
    │   │   └── PixelsTooLarge  few bytes that decode to more than the site allows
    ├── StudyError             the study came and cannot be read, or not be trusted
    │   ├── UnsupportedSeries · UnsupportedSyntax · BrokenGeometry · UndecodablePixels
    │   │   └── ImplausibleGeometry · ContradictoryPixels · ConstantPixels
    │   ├── InvalidRescale · InconsistentHeader · MixedPatients
    ├── ModelError             a model version cannot be trusted, loaded or run
    │   ├── ModelRefused · ModelFailed · ModelUnavailable · OutsideIntendedUse · InputOutOfDistribution
    ├── WorkerLost             the process that did the work is gone, by whatever way
    │   ├── StudyEvicted       the fetched study is gone with it, or left the object store
    │   ├── ReplicaDied        it ended under the work, from the work or from something else
    ├── PoisonStudy            a process ended each time it read this study, the last time this one alone
    ├── RegistryUnavailable    MLflow does not answer and nothing is cached
    ├── LedgerUnavailable      the database does not answer
    ├── LeadershipLost         a newer controller has taken over; whatever the older one publishes counts no more
    ├── CorruptControlState    the last snapshot in the ledger is not what was written
    ├── UnknownResultVersion   a stored result is of a version that this Serinus cannot read
    ├── NotReady               this process has no routing snapshot yet, or a champion is not warm
    ├── DeadlineExceeded · Unforeseen
    ├── ReportRejected         the PACS did not store the report
    │   └── ReportRefused      it never will: the object itself is not what it takes
    ├── CallbackFailed         the caller's web server did not take the callback
    │   └── CallbackGone
    ├── GateFailed             an outside system that has a say in a rollout gave no clear answer
    └── RequestError           the caller can mend it; `pointer` names the field
        ├── InvalidField · UrlRefused · Unauthenticated · Forbidden · Overloaded · RoutingFrozen
        └── IdempotencyConflict · JobNotFound · JobNotCancelable · JobCanceled · ResultNotReady · NoSuchDocument ·
            DocumentPurged · UnknownSource · UnknownModel · UnknownVariant · ExperimentUnderWay · NoExperiment ·
            RoutingConflict · TruthNotFound · AdjudicationNotFound · AlreadyAnswered · RolloutNotFound ·
            RolloutConflict · RolloutRefused · RecallNotFound · RecallItemNotFound · RecallItemClosed ·
            ReplayNotFound · ReplayRefused · TruthSetNotFound · TruthSetInUse · NoPriceBook · NoDriftReference
"""

from __future__ import annotations

from typing import ClassVar

from core.retry import FailureClass


class SerinusError(Exception):
    """Base of the tree. `code` is stable; `failure` says whether and how the same work is tried again."""

    code: ClassVar[str] = "internal-error"
    failure: ClassVar[FailureClass] = FailureClass.PERMANENT
    work: object | None = None  # what was worked before it (`serve_apps.application.failed_work`)

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.failure is not FailureClass.PERMANENT


class Unforeseen(SerinusError):
    """An exception that nobody foresaw, by its type alone: its text could hold data. It may be a passing one."""

    failure = FailureClass.MODEL_FAILED


class SourceError(SerinusError):
    code = "source-failed"
    failure = FailureClass.SOURCE_AWAY


class StudyNotFound(SourceError):
    code = "study-not-found"
    failure = FailureClass.PERMANENT


class SourceUnavailable(SourceError):
    code = "source-unavailable"


class SourceTimeout(SourceError):
    code = "source-timeout"


class StudyTooLarge(SourceError):
    code = "study-too-large"
    failure = FailureClass.PERMANENT


class PixelsTooLarge(StudyTooLarge):
    """What the headers declare, or what a deflated object holds, is more than this site decodes."""

    code = "pixels-too-large"


class StudyError(SerinusError):
    """`unread` tells of the series that was chosen and became no volume, where one was, so that a report can say so.

    It holds patient data: it travels between processes and reaches no log.
    """

    code = "study-unreadable"
    unread: object | None = None


class UnsupportedSeries(StudyError):
    """No series of the study can be read by the model; the detail counts the reasons."""

    code = "no-eligible-series"


class BrokenGeometry(StudyError):
    code = "geometry-invalid"


class ImplausibleGeometry(BrokenGeometry):
    """Positions, spacings or an extent that no scanner has."""

    code = "geometry-implausible"


class UnsupportedSyntax(StudyError):
    """There is no decoder for the transfer syntax."""

    code = "unsupported-transfer-syntax"


class UndecodablePixels(StudyError):
    """Pixels that are missing, truncated or damaged."""

    code = "pixels-damaged"


class ContradictoryPixels(UndecodablePixels):
    """The pixels are whole, and not those that the header describes."""

    code = "pixels-contradict-header"


class ConstantPixels(UndecodablePixels):
    """Images that hold one value throughout: whatever was there is lost."""

    code = "pixels-constant"


class InvalidRescale(StudyError):
    """The rescaling does not lead to the modality's own unit (HU for CT)."""

    code = "rescale-invalid"


class InconsistentHeader(StudyError):
    """A header that contradicts itself, so that nobody can tell which half of it is true."""

    code = "header-inconsistent"


class MixedPatients(StudyError):
    """Images of several patients in one series: nobody can tell whom the result would be about."""

    code = "patients-mixed"


class ModelError(SerinusError):
    code = "model-error"


class ModelRefused(ModelError):
    """The artifact is not what was signed, or is of a kind that could run code when loaded."""

    code = "model-refused"


class ModelFailed(ModelError):
    code = "model-error"
    failure = FailureClass.MODEL_FAILED


class ModelUnavailable(ModelError):
    code = "model-unavailable"
    failure = FailureClass.MODEL_AWAY


class OutsideIntendedUse(ModelError):
    code = "outside-intended-use"


class InputOutOfDistribution(ModelError):
    """The study is unlike the version's reference set, or the site asks for a check and the version brings none."""

    code = "input-out-of-distribution"


class RegistryUnavailable(SerinusError):
    code = "registry-unavailable"
    failure = FailureClass.MODEL_AWAY


class WorkerLost(SerinusError):
    """A replica, node or object was lost under the work: killed, out of memory, drained, evicted."""

    code = "worker-lost"
    failure = FailureClass.WORKER_LOST


class StudyEvicted(WorkerLost):
    """The fetched study left the object store before a version could read it; it has to be fetched again."""


class ReplicaDied(WorkerLost):
    """The process ended while it did the work: killed, out of memory, crashed."""


class PoisonStudy(SerinusError):
    """The study is read no more: the process that read it ended, and the next one too, which read nothing else."""

    code = "poison-study"


class LedgerUnavailable(SerinusError):
    code = "ledger-unavailable"
    failure = FailureClass.WORKER_LOST


class LeadershipLost(SerinusError):
    """Another controller holds a newer epoch."""

    code = "leadership-lost"


class CorruptControlState(SerinusError):
    """The control state in the ledger cannot be read, so routers keep what they have."""

    code = "control-state-corrupt"


class UnknownResultVersion(SerinusError):
    code = "unknown-result-version"


class NotReady(SerinusError):
    """Nothing can be answered yet, and soon it can."""

    code = "warming"
    failure = FailureClass.MODEL_AWAY


class DeadlineExceeded(SerinusError):
    code = "deadline-exceeded"
    failure = FailureClass.MODEL_FAILED


class ReportRejected(SerinusError):
    code = "result-store-rejected"
    failure = FailureClass.SOURCE_AWAY


class ReportRefused(ReportRejected):
    """The archive, or the report's own bytes, say that no later attempt will store it: tried a few times only."""

    failure = FailureClass.MODEL_FAILED


class CallbackFailed(SerinusError):
    code = "callback-failed"
    failure = FailureClass.SOURCE_AWAY


class CallbackGone(CallbackFailed):
    """The caller's web server wants no more callbacks at this address (HTTP 410)."""

    code = "callback-gone"
    failure = FailureClass.PERMANENT


class GateFailed(SerinusError):
    """An outside system that has a say in a rollout gave no answer that can be understood; the text says why."""

    code = "gate-failed"
    failure = FailureClass.SOURCE_AWAY


class RequestError(SerinusError):
    """`pointer` is the JSON pointer of the field that is wrong, where there is one."""

    code = "bad-request"

    def __init__(self, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.args = (detail, pointer)
        self.pointer = pointer


class InvalidField(RequestError):
    code = "invalid-field"


class UrlRefused(RequestError):
    """An address that this site does not allow (SSRF)."""

    code = "url-refused"


class Unauthenticated(RequestError):
    code = "unauthenticated"


class Forbidden(RequestError):
    code = "forbidden"


class KeyNotFound(RequestError):
    code = "key-not-found"


class KeyRefused(RequestError):
    """What was asked for would leave the site without a key that can undo it."""

    code = "key-refused"


class Overloaded(RequestError):
    code = "overloaded"
    failure = FailureClass.MODEL_AWAY


class RoutingFrozen(RequestError):
    """What was asked for cannot be while routing is frozen."""

    code = "routing-frozen"


class RoutingConflict(RequestError):
    """Somebody else has changed the routing since the revision that the change was made for."""

    code = "routing-conflict"


class JobCanceled(RequestError):
    code = "canceled"


class NoSuchDocument(RequestError):
    """The job has ended and such a document will never exist."""

    code = "no-such-document"


class DocumentPurged(RequestError):
    """The document was there, and is no longer kept."""

    code = "document-purged"


class NoExperiment(RequestError):
    code = "no-ab-test"


class NoPriceBook(RequestError):
    """The site has no price book, or none that can be read."""

    code = "no-price-book"


class NoDriftReference(RequestError):
    """Nobody has said yet what is normal for the version."""

    code = "no-drift-reference"


class IdempotencyConflict(RequestError):
    code = "idempotency-conflict"


class JobNotFound(RequestError):
    code = "job-not-found"


class JobNotCancelable(RequestError):
    code = "not-cancelable"


class ResultNotReady(RequestError):
    code = "not-ready"


class UnknownSource(RequestError):
    code = "unknown-source"


class UnknownModel(RequestError):
    code = "unknown-model"


class UnknownVariant(RequestError):
    """A tester named a variant that may not answer now; no other takes its place."""

    code = "unknown-variant"


class ExperimentUnderWay(RequestError):
    """A rollout and an A/B test of one model exclude each other, unless their slots share no patient."""

    code = "experiment-under-way"


class TruthNotFound(RequestError):
    code = "truth-not-found"


class AdjudicationNotFound(RequestError):
    code = "adjudication-not-found"


class AlreadyAnswered(RequestError):
    """An item of the adjudication queue has an answer: its arms were told, so that nobody reads it blindly again."""

    code = "already-answered"


class RolloutNotFound(RequestError):
    code = "rollout-not-found"


class RolloutConflict(RequestError):
    """The rollout has moved since the revision that the change was made for."""

    code = "rollout-conflict"


class RolloutRefused(RequestError):
    """What was asked of a rollout may not be as it stands; the text says why."""

    code = "rollout-refused"


class ReplayNotFound(RequestError):
    code = "replay-not-found"


class ReplayRefused(RequestError):
    """The version cannot read anything as it stands, or has read those studies for their callers."""

    code = "replay-refused"


class TruthSetNotFound(RequestError):
    code = "truth-set-not-found"


class TruthSetInUse(RequestError):
    """The set is evidence of a rollout under way, or a run of it has begun this moment."""

    code = "truth-set-in-use"


class RecallNotFound(RequestError):
    code = "recall-not-found"


class RecallItemNotFound(RequestError):
    """There is no such item, or the study's job is another tenant's."""

    code = "recall-item-not-found"


class RecallItemClosed(RequestError):
    """Somebody has looked at the study before, and said something else of it."""

    code = "recall-item-closed"
