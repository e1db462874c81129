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
