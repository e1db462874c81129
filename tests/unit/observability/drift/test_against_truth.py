"""What a version says beside the truth, and what a ground-truth set told otherwise than before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from observability.drift.against_truth import AnsweredStudy, AuditSample, FindingAgainstTruth, against_truth
from observability.drift.audited import AuditableStudy
from observability.drift.page_truth import lacks_of, truth_section
from observability.drift.report import TruthReport
from observability.drift.scoreboard import SetRun, Share, auc_of, with_changes

BEGAN, UNTIL, PER_DAY = 100, 160, 30


def answers(rng: np.random.Generator, wrong_now: float, known: float = 1.0) -> list[AnsweredStudy]:
    """Of 100 days before and 60 since; three in a hundred differ from their report, then `wrong_now`."""
    found = []
    for day in range(BEGAN - 100, UNTIL + 1):
        wrong = 0.03 if day < BEGAN else wrong_now
        for score in rng.beta(0.4, 2.0, PER_DAY):
            says = bool(score >= 0.4)
            is_present = says != bool(rng.random() < wrong)
            found.append(AnsweredStudy(day, float(score), says, is_present if rng.random() < known else None))
    return found


def one(studies: list[AnsweredStudy], audit: AuditSample | None = None) -> FindingAgainstTruth:
    audits = {} if audit is None else {"f": audit}
    (found,) = against_truth({"f": studies}, audits, BEGAN, UNTIL, 3652.0)
    return found


@pytest.mark.parametrize(("wrong_now", "is_alarm"), [(0.03, False), (0.10, True)])
def test_reports_that_differ_more_often_are_found(wrong_now: float, is_alarm: bool) -> None:
    found = one(answers(np.random.default_rng(1), wrong_now))
    assert found.discordance.is_alarm is is_alarm
    assert found.answered == found.known == 61 * PER_DAY


def test_where_nobody_told_a_truth_each_figure_says_what_it_lacks() -> None:
    found = one(answers(np.random.default_rng(2), 0.1, known=0.0))
    assert (found.known, found.performance, found.discordance.trajectory) == (0, None, ())
    said = " ".join(lacks_of(found))
    assert "0 of 100 studies of the reference" in said
    assert "0 of 50 studies of the reference" in said
    assert "Nobody has told what was really there" in said
    assert "No other version read the same studies" in said


def test_truths_of_the_queue_are_no_discordance_for_it_chooses_by_what_versions_say() -> None:
    asked = [replace(study, was_asked=True) for study in answers(np.random.default_rng(3), 0.5)]
    assert one(asked).discordance.now.studies == 0


def test_scores_that_mean_what_they_say_are_calibrated_and_others_are_not() -> None:
    rng = np.random.default_rng(4)
    scores = rng.beta(0.8, 2.0, 1_500)
    for factor, is_broken in ((1.0, False), (0.4, True)):
        studies = [
            AnsweredStudy(BEGAN + 1, float(p), bool(p >= 0.4), bool(rng.random() < factor * p))
            for p in scores
        ]
        assert one(studies).calibration.is_broken is is_broken


def test_an_audit_is_weighed_by_the_chance_of_being_asked() -> None:
    rng = np.random.default_rng(5)
    studies = []
    for p in rng.beta(0.8, 1.5, 2_000):
        inclusion, is_present = (1.0 if p >= 0.4 else 0.2), bool(rng.random() < p)
        studies.append(
            AuditableStudy(
                bool(p >= 0.4), float(p), inclusion, is_present if rng.random() < inclusion else None
            )
        )
    found = one([], AuditSample("2", 900, 880, tuple(studies)))
    assert found.performance is not None
    assert found.performance.sensitivity is not None
    assert found.performance.sensitivity.low < 0.75 < found.performance.sensitivity.high
    assert "880 of 900 studies that the queue asks about are answered." in lacks_of(found)


def run_at(at_s: int, right: int, unread: int = 0) -> SetRun:
    return SetRun("heads", 1, "f", at_s, Share(right, 13, 0.7, 1.0), Share(20, 20, 0.8, 1.0), 0, unread)


def test_a_version_that_tells_otherwise_than_before_on_the_same_studies_is_told() -> None:
    told = with_changes([run_at(3, 12), run_at(1, 13), run_at(2, 13), run_at(4, 3, unread=9), run_at(5, 13)])
    assert [one.change for one in told] == [
        "first",
        "as before",
        "sensitivity fell from 13 to 12 of 13",
        "incomplete",
        "sensitivity rose from 12 to 13 of 13",
    ]
    assert "sensitivity fell from 13 to 12 of 13" in truth_section(TruthReport((), told))


def test_an_auc_is_the_share_of_pairs_in_order() -> None:
    found = auc_of([0.9, 0.8, 0.3], [0.1, 0.3, 0.2])
    assert found is not None
    assert found.value == pytest.approx(8.5 / 9)
    assert 0.0 <= found.low < found.value < found.high <= 1.0
    assert auc_of([0.9], [0.1, 0.2]) is None
