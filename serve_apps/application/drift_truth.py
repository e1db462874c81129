"""What a drift report says against the truth: of a version's answers, and of the ground-truth sets that it read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from canary.truth import TruthLabel
from ledger import Ledger, StoredRun
from observability.drift.against_truth import against_truth
from observability.drift.report import TruthReport
from observability.drift.scoreboard import Auc, SetRun, Share, auc_of, with_changes

MOST_RUNS: Final = 30  # of a set


def truth_report(
    ledger: Ledger, model: str, version: str, *, first: int, watched_from: int, until: int, arl_slices: float
) -> TruthReport:
    """Days count from 1970-01-01; those from `first` to before `watched_from` are the reference. Blocks."""
    answers = ledger.drift_truths.answers(model, version, first)
    audits = ledger.drift_truths.audits(model, version)
    findings = against_truth(answers, audits, watched_from, until, arl_slices)
    return TruthReport(findings, with_changes(list(_runs(ledger, model, version))))


def _runs(ledger: Ledger, model: str, version: str) -> Iterator[SetRun]:
    for one in ledger.truth_sets.newest():
        if one.model != model:
            continue
        for run in ledger.truth_set_runs.of_set(one.name, MOST_RUNS):
            if run.version == version and run.result is not None:
                aucs = _aucs(ledger, run)
                for found in run.result["findings"]:
                    yield _run(run, found, aucs.get(found["finding"]))


def _run(run: StoredRun, found: Mapping[str, Any], auc: Auc | None) -> SetRun:
    return SetRun(
        run.name,
        run.set_version,
        found["finding"],
        int(run.at.timestamp()),
        _share(found["sensitivity"]),
        _share(found["specificity"]),
        found["failed"],
        found["unread"],
        auc,
    )


def _share(told: Mapping[str, Any]) -> Share:
    return Share(told["right"], told["number"], told["low"], told["high"])


def _aucs(ledger: Ledger, run: StoredRun) -> Mapping[str, Auc | None]:
    """By finding, of the studies that the version scored."""
    scores = ledger.truth_set_runs.scores(run)
    sides: dict[str, dict[TruthLabel, list[float]]] = {}
    for study in ledger.truth_sets.studies(run.name, run.set_version):
        for finding, truth in study.truths.items():
            score = scores.get(study.number, {}).get(finding)
            if score is not None:
                sides.setdefault(finding, {}).setdefault(truth.label, []).append(score)
    return {
        finding: auc_of(of.get(TruthLabel.PRESENT, ()), of.get(TruthLabel.ABSENT, ()))
        for finding, of in sides.items()
    }
