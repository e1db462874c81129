"""When a rollout's step may be expected to end, and its promotion at the earliest, from how fast studies came so far.

Each metric goes on from where its evidence stands, as `canary/evidence/forecast.py` says of a candidate that is equal
to the champion. About half of all such rollouts are faster. What people decide has no date. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from canary.evidence.forecast import Exposure, Site, forecast
from canary.evidence.measure import non_inferiority_limit
from canary.evidence.metric import NEEDS_CANARY, PLANNED, Hypothesis, Measurement, MetricPhase, MetricSpec
from canary.rollout import approvals
from canary.rollout.case import Case
from canary.rollout.next_gate import surveilled_until
from canary.rollout.plan import DAY_S, declared_weight_bp
from canary.rollout.status import HOLDS, RolloutPhase
from canary.rollout.step import Analysis, Experiment, Pause, Step
from canary.rollout.windows import closed_reason, opens_at
from canary.routing_table import BASIS_POINTS

MOST_DAYS: Final = 3_650.0
FEWEST_DAYS: Final = 1 / 24  # before, nobody can tell how fast studies come
_EQUAL: Final = Site(studies_per_day=1.0, prevalence=0.5), Exposure(shadow_bp=BASIS_POINTS)


@dataclass(frozen=True, slots=True)
class Expectation:
    """`at` is None where no date can be told. `reason` says why not, or what has to be so for the date."""

    at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Expected:
    """When the step under way ends, and when the version is promoted at the earliest."""

    step: Expectation
    promotion: Expectation


class _Untold(Exception):
    """Why no date can be told."""


def expected(case: Case, studies_per_day: float | None) -> Expected:
    """The dates of a case, of whose world nothing is asked.

    `studies_per_day`: of the model at this site, as they came so far; None while that is not known.
    """
    status = case.status
    if status.phase is RolloutPhase.SURVEILLING:
        ends = surveilled_until(case)
        done = Expectation(status.promoted_at, "it is promoted")
        return Expected(Expectation(ends, "then its surveillance is over, if no harm is found"), done)
    if (why := _blocked(case)) is not None:
        return Expected(Expectation(None, why), Expectation(None, why))
    return _walked(case, studies_per_day)


def _blocked(case: Case) -> str | None:
    """Why nothing moves on by itself, in a sentence; None if it does."""
    status = case.status
    if status.has_ended:
        return "it has ended"
    if status.phase is RolloutPhase.PAUSED:
        return "it is paused, and waits for a person"
    if status.phase is RolloutPhase.ROLLING_BACK:
        return "it goes back"
    is_held = status.reason.startswith(HOLDS) and closed_reason(case.plan.calendar, case.now) is None
    return f"it is held: {status.reason.removeprefix(HOLDS)}" if is_held else None


@dataclass(slots=True)
class _Clock:
    """Days from now, and the canary studies that come until then beyond those that are known."""

    days: float = 0.0
    canary_studies: float = 0.0

    def wait(self, days: float, canary_per_day: float) -> None:
        self.days += days
        self.canary_studies += days * canary_per_day


def _walked(case: Case, studies_per_day: float | None) -> Expected:
    plan, first, clock = case.plan, case.status.step, _Clock()
    step = Expectation(None, "every step is done")
    needs_people = False
    for number in range(first, len(plan.steps)):
        try:
            _await_window(case, number, clock)
            needs_people |= _await_step(case, number, clock, studies_per_day)
            if number == first:
                step = _of_first(case, needs_people, clock)
        except _Untold as why:
            untold = Expectation(None, str(why))
            return Expected(untold if number == first else step, untold)
    return Expected(step, _of_promotion(case, needs_people, clock))


def _of_first(case: Case, needs_people: bool, clock: _Clock) -> Expectation:
    if needs_people:
        return Expectation(None, "it waits for people, who have no date")
    return Expectation(_at(case, clock), "if the candidate is equal to the champion and nothing holds it")


def _of_promotion(case: Case, needs_people: bool, clock: _Clock) -> Expectation:
    if not case.plan.promotes:
        return Expectation(None, "its plan promotes nothing: a person decides what comes of it")
    people = " and people approve at once" if needs_people else ""
    try:
        _require_background(case)
        _await_open(case, clock)
        return Expectation(_at(case, clock), f"if the candidate is equal to the champion{people}")
    except _Untold as why:
        return Expectation(None, str(why))


def _require_background(case: Case) -> None:
    """Guardrails that must have data hold the promotion without any; the canary's have some once it answers."""
    for name in case.plan.background.metrics:
        spec, seen = case.plan.metric(name), case.metric(name)
        counts = spec.must_have_data and not spec.dry_run and spec.kind not in NEEDS_CANARY
        if counts and not seen.observed:
            raise _Untold(f"it waits for {name}: {seen.reason}")


def _at(case: Case, clock: _Clock) -> datetime:
    if clock.days > MOST_DAYS:
        raise _Untold("it would take more than ten years")
    return case.now + timedelta(days=clock.days)


def _await_window(case: Case, number: int, clock: _Clock) -> None:
    """A weight is raised when a window is open."""
    if declared_weight_bp(case.plan, number) > max(
        case.status.weight_bp, declared_weight_bp(case.plan, number - 1) if number else 0
    ):
        _await_open(case, clock)


def _await_open(case: Case, clock: _Clock) -> None:
    opening = opens_at(case.plan.calendar, _at(case, clock))
    if opening is None:
        raise _Untold("no window opens within a year")
    clock.days = max(clock.days, (opening - case.now).total_seconds() / DAY_S)


def _await_step(case: Case, number: int, clock: _Clock, studies_per_day: float | None) -> bool:
    """Let the clock go until the step is done; whether people have to approve. Raises _Untold."""
    step, is_first = case.plan.steps[number], number == case.status.step
    if isinstance(step, Pause) and step.approval is not None:
        return approvals.missing(step.approval, case.approvals_of(number)) is not None
    share = declared_weight_bp(case.plan, number) / BASIS_POINTS
    per_day = None if studies_per_day is None else studies_per_day * share
    passed = case.elapsed_s / DAY_S if is_first else 0.0
    days = max(0.0, _timed(step) - passed, _evidence_days(case, step, clock, per_day))
    if isinstance(step, Pause) and step.until is not None:
        days = max(days, _studies_days(case, number, step.until.min_studies, per_day))
    limit = _limit(step)
    if limit is not None and passed + days > limit:
        needs = f"step {number} needs {passed + days:.1f} days as things stand"
        raise _Untold(f"{needs}, and pauses after {limit:g}")
    clock.wait(days, per_day or 0.0)
    return False


def _timed(step: Step) -> float:
    """The days that the step takes at least."""
    if isinstance(step, Pause | Experiment):
        return (step.duration_s or 0) / DAY_S
    return 0.0


def _limit(step: Step) -> float | None:
    seconds = None
    if isinstance(step, Analysis):
        seconds = step.max_duration_s
    elif isinstance(step, Pause) and step.until is not None:
        seconds = step.until.max_duration_s
    return None if seconds is None else seconds / DAY_S


def _studies_days(case: Case, number: int, needed: int, per_day: float | None) -> float:
    """Until so many studies were answered in a step."""
    answered = case.evidence.studies_by_step.get(number, 0) if case.evidence else 0
    missing = needed - answered
    if missing <= 0:
        return 0.0
    if not per_day:
        raise _Untold("nobody knows yet how many studies come in a day")
    return missing / per_day


def _evidence_days(case: Case, step: Step, clock: _Clock, canary_per_day: float | None) -> float:
    """Until each metric of the step is Successful, counted from where the clock stands."""
    names = _asked(step)
    if names and not case.deciding(names):
        raise _Untold("none of the metrics of its step has data")
    return max(
        (_metric_days(case, one.metric, clock, canary_per_day) for one in case.deciding(names)), default=0
    )


def _asked(step: Step) -> Iterable[str]:
    if isinstance(step, Analysis | Experiment):
        return step.metrics
    return step.until.metrics if isinstance(step, Pause) and step.until is not None else ()


def _metric_days(case: Case, name: str, clock: _Clock, canary_per_day: float | None) -> float:
    spec, seen = case.plan.metric(name), case.metric(name)
    if seen.phase is MetricPhase.SUCCESSFUL:
        return 0.0
    if seen.phase is not MetricPhase.RUNNING:
        raise _Untold(f"{name} is {seen.phase}: {seen.reason}")
    measured = seen.measured or Measurement(name, seen.phase, seen.reason)
    missing = _missing(spec, measured)
    if spec.futility_limit is not None and measured.observed + missing > spec.futility_limit:
        raise _Untold(f"{name} is expected to end undecided, at {spec.futility_limit}")
    if spec.kind in NEEDS_CANARY:
        left = missing - clock.canary_studies
        if left <= 0:
            return 0.0
        if not canary_per_day:
            raise _Untold(f"{name} needs studies of the canary, and nobody knows yet how many come in a day")
        return left / canary_per_day
    days = (case.now - case.status.began_at).total_seconds() / DAY_S
    if not measured.observed or days < FEWEST_DAYS:
        raise _Untold(seen.reason if not seen.measured else f"{name} has too few observations yet")
    return max(0.0, missing * days / measured.observed - clock.days)


def _missing(spec: MetricSpec, seen: Measurement) -> float:
    """Observations until the metric is Successful, if the candidate is equal to the champion. Raises _Untold."""
    if spec.kind in PLANNED:
        return next((look - seen.observed for look in spec.planned_looks if look > seen.observed), 0)
    missing = float(spec.min_observations - seen.observed)
    if spec.hypothesis is Hypothesis.NON_INFERIORITY:
        shown = (seen.log10_e_non_inferiority or 0.0) / non_inferiority_limit(spec)
        missing = _needed(spec) * (1.0 - shown)
    for stratum in seen.strata:
        lacking = spec.min_per_stratum - stratum.observed
        missing = max(missing, lacking * seen.observed / max(1, stratum.observed))
    if missing <= 0:
        raise _Untold(f"{spec.name} has what it needs and is held: {seen.reason}")
    return missing


def _needed(spec: MetricSpec) -> float:
    """From the first study to non-inferiority of an equal candidate."""
    found = (one for one in forecast(spec, *_EQUAL) if one.hypothesis is Hypothesis.NON_INFERIORITY)
    needed = next((one.observations for one in found if math.isfinite(one.days)), None)
    if needed is None:
        raise _Untold(f"{spec.name} is never shown by a candidate that is equal to the champion")
    return float(needed)
