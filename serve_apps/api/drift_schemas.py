"""The wire of drift."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from observability.drift.signals import SignalGroup
from observability.drift.verdict import DriftState
from serve_apps.api.schemas import Name, Wire


class DriftReferenceIn(Wire):
    """The last `days` days that are over are normal for the version; left out: the champion."""

    days: int = Field(ge=1, le=366)
    version: Name | None = None


class DriftReferenceOut(Wire):
    """What a person accepted: the `studies` of `days` days, by the digest of their counts."""

    model: str
    number: int
    accepted_by: str
    accepted_at: datetime
    days: int
    studies: int
    digest: str


class DriftFindingOut(Wire):
    """A signal at a place (site, scanner, protocol; empty: all) that speaks, since a day counted from 1970-01-01.

    `log10_m` is its evidence, `psi` its size.
    """

    place: tuple[str, ...]
    signal: str
    group: SignalGroup
    log10_m: float
    psi: float
    studies: int
    since_day: int


class DriftSignalOut(Wire):
    """A signal over all places: studies in each bin then and now. `not_armed` says why it is not watched."""

    signal: str
    bins: tuple[str, ...]
    reference: tuple[int, ...]
    now: tuple[int, ...]
    psi: float
    not_armed: str = ""


class DriftBlindSpotOut(Wire):
    """The least share of studies that must move to be found within `weeks`, in which `studies` come: into the rarest
    bin and into the commonest; null: not even when all do."""

    signal: str
    weeks: int
    studies: int
    into_rare: float | None
    into_common: float | None


class DriftOutliersOut(Wire):
    """Studies unlike those of the reference, of those that were compared with it."""

    flagged: int
    studies: int
    share: float | None


class DriftShareOut(Wire):
    """A share with its interval of 95 %."""

    value: float
    low: float
    high: float


class DriftTruthOut(Wire):
    """A finding beside the truth: of the `answered` studies since watching began `known` have one.

    `discordant_then` and `discordant_now` are the shares that differ from what is known outside the adjudication
    queue; `discordance_log10_m` is the evidence that this changed. `calibration_log10_e` is the evidence that scores
    do not mean what they say. `sensitivity`, `ppv` and `prevalence` come of the `audited` studies, weighed by the
    inverse of the chance with which each was asked about. `expected_*` are what scores alone let expect;
    `is_expectation_trusted` says whether that was ever right. `said` are what is lacking.
    """

    finding: str
    answered: int
    known: int
    discordant_then: float | None
    discordant_now: float | None
    discordance_log10_m: float | None
    calibration_log10_e: float
    audited: int
    audited_against: str | None
    sensitivity: DriftShareOut | None
    ppv: DriftShareOut | None
    prevalence: DriftShareOut | None
    expected_sensitivity: float | None
    expected_ppv: float | None
    is_expectation_trusted: bool
    said: tuple[str, ...]


class DriftSetRunOut(Wire):
    """A run of a ground-truth set by the version. `changed` says what it told otherwise than the run before."""

    name: str
    set_version: int
    finding: str
    at: datetime
    sensitivity: DriftShareOut | None
    specificity: DriftShareOut | None
    auc: DriftShareOut | None
    failed: int
    unread: int
    changed: str


class DriftAcknowledgeIn(Wire):
    """A person has looked at the version's drift and keeps its reference; left out: the champion."""

    version: Name | None = None


class DriftAcknowledgedOut(Wire):
    """What was looked at: `state` and `sentence` of the last look. Watching begins anew today."""

    model: str
    version: str
    reference: int
    state: DriftState | None
    sentence: str


class DriftReportOut(Wire):
    """The verdict on all days up to `until_day`, in a sentence; `log10_m` of the last day against `log10_limit`."""

    model: str
    reference: int
    accepted_by: str
    until_day: int
    state: DriftState
    sentence: str
    log10_m: float | None
    log10_limit: float
    findings: tuple[DriftFindingOut, ...]
    signals: tuple[DriftSignalOut, ...]
    blind_spots: tuple[DriftBlindSpotOut, ...]
    outliers: DriftOutliersOut | None
    against_truth: tuple[DriftTruthOut, ...]
    scoreboard: tuple[DriftSetRunOut, ...]
