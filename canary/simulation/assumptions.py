"""What is assumed of a site and of two versions, and the chances of a study that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

BETTER_BY: Final = 0.03
WORSE_BY: Final = 0.10
BROKEN: Final = 0.10


class Scenario(StrEnum):
    """What the candidate is like beside the champion."""

    BETTER = "better"  # it is right more often, by 3 points
    SAME = "same"  # the versions differ on studies, and neither is right more often
    WORSE = "worse"  # it is right less often, by 10 points
    BROKEN = "broken"  # it fails at one more study in ten
    SILENT = "silent"  # nothing that it reads ever becomes known


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Rates and shares lie within 0..1. Raises ValueError for what cannot be.

    `accuracy` is the champion's sensitivity and specificity, `sensitivity` and `specificity` are the candidate's.
    `discordance`: the share of the studies of one truth on which exactly one of them is right; where that cannot be,
    the nearest share that can. `failure_rate`: studies at which both fail. `own_failures`: those of the others at
    which the candidate does, `champion_failures`: those of the rest at which the champion does.

    `critical_share`: of the studies on which they differ, those that are an adverse event where the candidate
    answers. A truth comes `truth_after_s` after its study, an approval `approve_after_s` after its step began, and a
    person resumes `resume_after_s` after a pause was seen first; None: never. `is_silent`: nothing that the candidate
    reads becomes known.
    """

    studies_per_day: float
    prevalence: float
    accuracy: float = 0.90
    sensitivity: float = 0.90
    specificity: float = 0.90
    discordance: float = 0.10
    failure_rate: float = 0.01
    own_failures: float = 0.0
    champion_failures: float = 0.0
    critical_share: float = 0.02
    truth_after_s: int | None = 2 * 86_400
    approve_after_s: int | None = 86_400
    resume_after_s: int | None = None
    is_silent: bool = False

    def __post_init__(self) -> None:
        shares = {
            "accuracy": self.accuracy,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "prevalence": self.prevalence,
            "discordance": self.discordance,
            "failure_rate": self.failure_rate,
            "own_failures": self.own_failures,
            "champion_failures": self.champion_failures,
            "critical_share": self.critical_share,
        }
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} lies within 0..1")
        if not 0.0 <= self.studies_per_day <= 1e6:
            raise ValueError("studies_per_day lies within 0 and a million")


def assumed(scenario: Scenario, base: Assumptions) -> Assumptions:
    """The assumptions with the candidate that the scenario says; what it does not speak of stays."""
    match scenario:
        case Scenario.BETTER:
            better = min(1.0, base.accuracy + BETTER_BY)
            return replace(base, sensitivity=better, specificity=better)
        case Scenario.WORSE:
            worse = max(0.0, base.accuracy - WORSE_BY)
            return replace(base, sensitivity=worse, specificity=worse)
        case Scenario.BROKEN:
            return replace(base, sensitivity=base.accuracy, specificity=base.accuracy, own_failures=BROKEN)
        case Scenario.SILENT:
            base = replace(base, is_silent=True)
    return replace(base, sensitivity=base.accuracy, specificity=base.accuracy)


def chances(assumptions: Assumptions) -> tuple[float, ...]:
    """The chance of each outcome of a study, in the order of `canary/simulation/studies.py:OUTCOMES`."""
    read = 1.0 - assumptions.failure_rate
    positive = assumptions.prevalence * read
    negative = (1.0 - assumptions.prevalence) * read
    return (
        *(positive * one for one in _of_truth(assumptions, assumptions.sensitivity)),
        *(negative * one for one in _of_truth(assumptions, assumptions.specificity)),
        assumptions.failure_rate,
    )


def _of_truth(assumptions: Assumptions, candidate: float) -> tuple[float, ...]:
    """Both right, only the candidate wrong, only the champion wrong, both wrong; then the candidate fails while the
    champion is right, and while it is wrong; then the champion fails while the candidate is right, and while wrong.
    """
    champion, own, others = assumptions.accuracy, assumptions.own_failures, assumptions.champion_failures
    loss = champion - candidate
    discordance = max(
        abs(loss), min(assumptions.discordance, (1 - champion) + (1 - candidate), champion + candidate)
    )
    worse, better = (discordance + loss) / 2, (discordance - loss) / 2
    both_wrong = max(0.0, (1.0 - champion) - better)
    both_right = max(0.0, 1.0 - worse - better - both_wrong)
    answered = tuple((1.0 - own) * (1.0 - others) * one for one in (both_right, worse, better, both_wrong))
    alone = (1.0 - own) * others
    failing = own * champion, own * (1.0 - champion), alone * candidate, alone * (1.0 - candidate)
    return (*answered, *failing)
