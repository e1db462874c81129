"""What the deployments say to each other. Small things by value, the volume as a loan from the object store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.priority import QueueOrder
from core.study import StudyRef
from imaging.finding import Prediction
from imaging.patient_facts import PatientFacts
from imaging.report_sr import ReportContext
from imaging.series import SeriesRule
from imaging.volume import Geometry
from models.spec import ModelSpec
from observability.record import StageTiming
from serve_apps.resources import Resources

if TYPE_CHECKING:  # a process that reads one study is to start at once, and needs no database
    from ledger import JobState

RESERVED_PREFIX: Final = "mv-"  # of the names of the applications that the rollout controller makes


@dataclass(frozen=True, slots=True)
class EligibleModel:
    """A model that could read the study, by the rule of its champion."""

    model: str
    rule: SeriesRule


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Fetch a study and make one volume of it, for the first of the `eligible` models that can read a series.

    `order` is its place in the reader's queue. `deadline_s` is the reader's own, counted from when it begins, and
    shorter than the deadline of the call: so a source that is too slow is told as SourceTimeout. `force` has a study
    read again that is parked because processes ended while they read it.
    """

    study: StudyRef
    eligible: tuple[EligibleModel, ...]
    order: QueueOrder
    deadline_s: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class FetchedStudy:
    """A study as it lies in the object store: `volume` is a `Loan` of an `imaging.volume.Volume` on the way, and
    `Borrowed` where somebody works with it (`application.loans`).

    `rule` chose the series; whoever fetches the study again for a comparison reads the same series by it.
    `content_digest` names all that a version and a report take of the study (`imaging.content_digest`). `signals` are
    its pixel statistics, by name; `grid` its rows and columns.
    """

    model: str
    rule: SeriesRule
    volume: Any
    context: ReportContext
    geometry: Geometry
    facts: PatientFacts
    refused: Mapping[str, str]
    bytes_received: int
    stages: tuple[StageTiming, ...]
    content_digest: str = ""
    signals: tuple[tuple[str, float], ...] = ()
    grid: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class UnreadSeries:
    """The series that the model's rule chose, and that became no volume. `StudyError.unread` holds it."""

    model: str
    context: ReportContext = field(repr=False)


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """Shares in [0, 1] of a GPU's time and memory that are in use; None for what its driver does not say."""

    busy: float | None
    memory: float | None


@dataclass(frozen=True, slots=True)
class Inference:
    """What one version says of one study, and how long each of its stages took.

    `work_ms` is what the version itself worked at it (`application.work_time`), None where that is not known;
    `replica` names who made it, for the books of costs; its forward pass read `batch_size` studies. `gpu` is how busy
    its GPU was then, None without one, or where nobody looked.
    """

    prediction: Prediction
    stages: tuple[StageTiming, ...]
    device: str
    work_ms: float | None = None
    replica: str = ""
    batch_size: int = 1
    gpu: GpuLoad | None = None


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job stands after a worker had it in hand. `retry_after_s` is set while it is queued again.

    `error_code` and `error_detail` are those of its last failure.
    """

    job_id: str
    state: JobState
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    error_code: str | None = None
    error_detail: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A model version with an application of its own, named `mv-<model>-<version>`.

    `may_answer` is the regulatory gate's verdict at this site (`canary.disclosure` says who hears the version);
    `has_reference` says whether it brings what its input check compares studies with.
    """

    model: str
    version: str
    digest: str
    spec: ModelSpec
    regulatory_status: str
    research_only: bool
    resources: Resources = field(default_factory=Resources)
    may_answer: bool = False
    has_reference: bool = True

    @property
    def app_name(self) -> str:
        return app_name(self.model, self.version)


def app_name(model: str, version: str) -> str:
    """The reserved prefix keeps the controller's applications apart from those of serve_config.yaml."""
    return f"{RESERVED_PREFIX}{model}-{version}"
