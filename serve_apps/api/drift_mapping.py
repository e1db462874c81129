"""A drift report as it is told by HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from observability.drift.against_truth import FindingAgainstTruth
from observability.drift.audited import ShareEstimate
from observability.drift.discordance import Compared
from observability.drift.page_truth import lacks_of
from observability.drift.reference import Reference
from observability.drift.report import DriftReport, SignalThenAndNow
from observability.drift.scoreboard import SetRun, Share
from observability.drift.verdict import SignalFinding
from serve_apps.api.drift_schemas import (
    DriftBlindSpotOut,
    DriftFindingOut,
    DriftOutliersOut,
    DriftReferenceOut,
    DriftReportOut,
    DriftSetRunOut,
    DriftShareOut,
    DriftSignalOut,
    DriftTruthOut,
)


def reference_out(reference: Reference) -> DriftReferenceOut:
    tally, signal = reference.tally, reference.signals[0].name
    return DriftReferenceOut(
        model=reference.model,
        number=reference.version,
        accepted_by=reference.accepted_by,
        accepted_at=datetime.fromtimestamp(reference.accepted_at_s, UTC),
        days=len(tally.slices),
        studies=sum(count for cell, count in tally.cells.items() if cell.signal == signal),
        digest=reference.digest,
    )


def report_out(report: DriftReport) -> DriftReportOut:
    verdict, truth, outliers = report.verdict, report.truth, report.outliers
    return DriftReportOut(
        model=report.model,
        reference=report.reference_version,
        accepted_by=report.accepted_by,
        until_day=report.until,
        state=verdict.state,
        sentence=verdict.sentence,
        log10_m=verdict.trajectory[-1] if verdict.trajectory else None,
        log10_limit=verdict.log10_limit,
        findings=tuple(map(_finding, verdict.findings)),
        signals=tuple(map(_signal, report.signals)),
        blind_spots=tuple(
            DriftBlindSpotOut(
                signal=one.signal,
                weeks=one.weeks,
                studies=one.studies,
                into_rare=one.into_rare,
                into_common=one.into_common,
            )
            for one in report.blind_spots
        ),
        outliers=None
        if outliers is None
        else DriftOutliersOut(flagged=outliers.flagged, studies=outliers.studies, share=outliers.share),
        against_truth=() if truth is None else tuple(map(_truth, truth.findings)),
        scoreboard=() if truth is None else tuple(map(_run, truth.scoreboard)),
    )


def _finding(found: SignalFinding) -> DriftFindingOut:
    return DriftFindingOut(
        place=found.node,
        signal=found.signal,
        group=found.group,
        log10_m=found.log10_m,
        psi=found.effect.psi,
        studies=found.effect.studies,
        since_day=found.since,
    )


def _signal(one: SignalThenAndNow) -> DriftSignalOut:
    return DriftSignalOut(
        signal=one.signal.name,
        bins=one.signal.labels,
        reference=one.reference,
        now=one.now,
        psi=one.effect.psi,
        not_armed=one.reason_not_armed,
    )


def _truth(one: FindingAgainstTruth) -> DriftTruthOut:
    found, discordance = one.performance, one.discordance
    return DriftTruthOut(
        finding=one.finding,
        answered=one.answered,
        known=one.known,
        discordant_then=_rate(discordance.base),
        discordant_now=_rate(discordance.now),
        discordance_log10_m=discordance.trajectory[-1] if discordance.trajectory else None,
        calibration_log10_e=one.calibration.log10_e,
        audited=0 if found is None else found.audited,
        audited_against=None if one.audit is None else one.audit.against,
        sensitivity=None if found is None else _estimate(found.sensitivity),
        ppv=None if found is None else _estimate(found.ppv),
        prevalence=None if found is None else _estimate(found.prevalence),
        expected_sensitivity=one.expected.expected.sensitivity,
        expected_ppv=one.expected.expected.ppv,
        is_expectation_trusted=one.expected.honesty.is_trusted,
        said=lacks_of(one),
    )


def _rate(compared: Compared) -> float | None:
    return compared.discordant / compared.studies if compared.studies else None


def _estimate(estimate: ShareEstimate | None) -> DriftShareOut | None:
    if estimate is None:
        return None
    return DriftShareOut(value=estimate.value, low=estimate.low, high=estimate.high)


def _run(run: SetRun) -> DriftSetRunOut:
    auc = run.auc
    return DriftSetRunOut(
        name=run.name,
        set_version=run.set_version,
        finding=run.finding,
        at=datetime.fromtimestamp(run.at_s, UTC),
        sensitivity=_share(run.sensitivity),
        specificity=_share(run.specificity),
        auc=None if auc is None else DriftShareOut(value=auc.value, low=auc.low, high=auc.high),
        failed=run.failed,
        unread=run.unread,
        changed=run.change,
    )


def _share(share: Share) -> DriftShareOut | None:
    if share.low is None or share.high is None:
        return None
    return DriftShareOut(value=share.right / share.number, low=share.low, high=share.high)
