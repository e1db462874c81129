"""Every error that Serinus raises on purpose, as one tree.

The leaves carry a stable `code`, which is what a caller may program against; `serve_apps.api.problems` maps codes
to HTTP. A message never holds a patient datum: no UID, no tag value, no URL. The arguments go through
`super().__init__`, so that an error survives pickling between actors.

    SerinusError
    ├── SourceError            the PACS, bucket or folder did not give us the study
    │   ├── StudyNotFound · SourceUnavailable · SourceTimeout · StudyTooLarge
    ├── StudyError             the study came and cannot be read
    │   ├── UnsupportedSeries · BrokenGeometry · UndecodablePixels
    ├── ModelError             a model version cannot be trusted, loaded or run
    │   ├── ModelRefused · ModelFailed · ModelUnavailable · OutsideIntendedUse
    ├── RegistryUnavailable    MLflow does not answer and nothing is cached
    ├── DeadlineExceeded
    ├── ReportRejected         the PACS did not store the report
    └── RequestError           the caller can mend it
        └── IdempotencyConflict · JobNotFound · JobNotCancelable · ResultNotReady · UnknownSource · UnknownModel ·
                                    UnknownVariant · ExperimentUnderWay
"""

from __future__ import annotations

from typing import ClassVar


class SerinusError(Exception):
    """Base of the tree. `code` is stable; `retryable` says whether the same job may succeed later."""

    code: ClassVar[str] = "internal-error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class SourceError(SerinusError):
    code = "source-failed"
    retryable = True


class StudyNotFound(SourceError):
    code = "study-not-found"
    retryable = False


class SourceUnavailable(SourceError):
    code = "source-unavailable"


class SourceTimeout(SourceError):
    code = "source-timeout"


class StudyTooLarge(SourceError):
    code = "study-too-large"
    retryable = False


class StudyError(SerinusError):
    code = "study-unreadable"


class UnsupportedSeries(StudyError):
    """No series of the study can be read by the model; the detail counts the reasons."""

    code = "no-eligible-series"


class BrokenGeometry(StudyError):
    code = "geometry-invalid"


class UndecodablePixels(StudyError):
    code = "unsupported-transfer-syntax"


class ModelError(SerinusError):
    code = "model-error"


class ModelRefused(ModelError):
    """The artifact is not what was signed, or is of a kind that could run code when loaded."""

    code = "model-refused"


class ModelFailed(ModelError):
    code = "model-error"


class ModelUnavailable(ModelError):
    code = "model-unavailable"
    retryable = True


class OutsideIntendedUse(ModelError):
    code = "outside-intended-use"


class RegistryUnavailable(SerinusError):
    code = "registry-unavailable"
    retryable = True


class DeadlineExceeded(SerinusError):
    code = "deadline-exceeded"


class ReportRejected(SerinusError):
    code = "result-store-rejected"
    retryable = True


class RequestError(SerinusError):
    code = "bad-request"


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
    """A tester named a variant that may not answer now; no other takes its place in silence."""

    code = "unknown-variant"


class ExperimentUnderWay(RequestError):
    """A rollout and an A/B test of one model exclude each other."""

    code = "experiment-under-way"
