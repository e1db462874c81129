"""The wire of recalls: what a person asks for and says, and what is told of a withdrawn version's studies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from canary.disagreement import FindingStatus
from canary.recall import Difference, RecallState
from serve_apps.api.rollout_schemas import MAX_RUN, Note
from serve_apps.api.schemas import NO_NUL, IsoTime, Name, Wire

Said = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=500, strip_whitespace=True)]


class RecallIn(Wire):
    """The studies of a rollout's `run`, or those that a `version` answered `since` then; `note` says why."""

    run: int | None = Field(default=None, ge=1, le=MAX_RUN)
    version: Name | None = None
    since: IsoTime | None = None
    note: Note = ""


class RecallCloseIn(Wire):
    """What came of looking at the study. It is kept as long as the job, and stands in no log."""

    note: Said


class FindingChangeOut(Wire):
    """A finding of which the delivered result and the champion say different things."""

    code: str
    meaning: str
    delivered: FindingStatus
    champion: FindingStatus
    critical: bool


class SentDocumentOut(Wire):
    """Where a document of the job went; `state` is `done`, `due` or `dead`. It stays there as it is."""

    kind: str
    destination: str
    state: str
    at: datetime


class RecallItemOut(Wire):
    """A study. `open`: a person has to look at it. `error_code` says why the champion cannot read it again.

    `delivered_missed`: the champion saw something critical that the delivered result does not hold. `score_change` is
    the champion's priority score less the delivered one. UIDs are null where the job is no longer kept.
    """

    id: str
    open: bool
    state: RecallState
    difference: Difference | None
    delivered_missed: bool
    study_uid: str | None
    job: str
    tenant: str
    answered_at: datetime
    variant: str
    champion: str | None = None
    reread_at: datetime | None = None
    error_code: str | None = None
    score_change: int | None = None
    findings: tuple[FindingChangeOut, ...] = ()
    sr_sop_instance_uid: str | None = None
    documents: tuple[SentDocumentOut, ...] = ()
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None


class RecallSummaryOut(Wire):
    """How many studies; `to_look_now` are open and of a critical difference."""

    studies: int
    open: int
    to_look_now: int
    pending: int
    unreadable: int
    closed: int
    by_difference: dict[Difference, int]


class RecallHeadOut(Wire):
    """A list: the studies that `version` answered since then. `complete`: none can come onto it any more."""

    id: str
    model: str
    version: str
    run: int | None
    since: datetime
    made_at: datetime
    made_by: str
    reason: str
    complete: bool
    summary: RecallSummaryOut


class RecallOut(RecallHeadOut):
    """A list with its items, what a person looks at first at its head."""

    items: tuple[RecallItemOut, ...]


class RecallsOut(Wire):
    recalls: tuple[RecallHeadOut, ...]
