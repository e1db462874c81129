"""Whether the step under way is done; else what it waits for, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from canary.evidence.metric import MetricPhase
from canary.rollout import approvals
from canary.rollout.case import Case
from canary.rollout.step import Analysis, Experiment, Pause, SetMirror, SetWeight, Step, Until
from canary.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """`is_inconclusive`: what was asked will not be answered by waiting, so a person has to look."""

    is_done: bool
    reason: str
    is_inconclusive: bool = False


def judge_step(case: Case, step: Step) -> StepVerdict:
    """What the step says. No data is never done."""
    match step:
        case SetMirror():
            return _mirror(case, step)
        case SetWeight():
            return _weight(case, step.weight_bp)
        case Analysis():
            return within(case, step.max_duration_s, evidence_for(case, step.metrics))
        case Experiment():
            return _experiment(case, step)
        case Pause():
            return _pause(case, step)


def evidence_for(case: Case, names: Iterable[str]) -> StepVerdict:
    """Done when each metric that decides is Successful, and at least one does."""
    found = case.deciding(names)
    if not found:
        return StepVerdict(False, "waits for data: none of its metrics has any")
    undecided = [one for one in found if one.phase is not MetricPhase.SUCCESSFUL]
    for one in undecided:
        if one.phase is MetricPhase.INCONCLUSIVE:
            return StepVerdict(False, f"{one.metric} is inconclusive: {one.reason}", is_inconclusive=True)
    if undecided:
        return StepVerdict(False, f"waits for {undecided[0].metric}: {undecided[0].reason}")
    return StepVerdict(True, f"{found[-1].metric} is successful: {found[-1].reason}")


def within(case: Case, limit_s: int | None, verdict: StepVerdict) -> StepVerdict:
    """A step that was not done within its time is inconclusive."""
    if verdict.is_done or limit_s is None or case.elapsed_s < limit_s:
        return verdict
    return StepVerdict(False, f"undecided after {_span(limit_s)}: {verdict.reason}", is_inconclusive=True)


def _mirror(case: Case, step: SetMirror) -> StepVerdict:
    if case.world.mirror_bp == step.share_bp and case.world.shadow_ready:
        return StepVerdict(True, f"the shadow reads {step.share_bp / 100:g} % of the studies")
    return StepVerdict(False, f"waits until the shadow reads {step.share_bp / 100:g} % of the studies")


def _weight(case: Case, weight_bp: int) -> StepVerdict:
    """In force, and seen to be so by the readings of the routers."""
    share = f"{weight_bp / 100:g} % of the patients"
    if case.world.weight_bp != weight_bp:
        return StepVerdict(False, f"waits until the canary answers {share}")
    if case.world.data_plane is not Verdict.SUCCESSFUL:
        return StepVerdict(False, f"waits until readings show that the canary answers {share}")
    return StepVerdict(True, f"the canary answers {share}")


def _experiment(case: Case, step: Experiment) -> StepVerdict:
    """Its time begins when its weight is granted (`exposure.granted`)."""
    in_force, asked = _weight(case, step.weight_bp), evidence_for(case, step.metrics)
    if asked.is_inconclusive or not in_force.is_done:
        return asked if asked.is_inconclusive else in_force
    if case.elapsed_s < step.duration_s:
        return StepVerdict(False, f"the experiment runs until {_end(case, step.duration_s)}")
    return within(case, step.duration_s, asked)


def _pause(case: Case, step: Pause) -> StepVerdict:
    if step.until is not None:
        return within(case, step.until.max_duration_s, _until(case, step.until))
    if step.approval is not None:
        wanting = approvals.missing(step.approval, case.approvals_of(case.status.step))
        return StepVerdict(wanting is None, wanting or "it is approved")
    duration_s = step.duration_s or 0
    if case.elapsed_s < duration_s:
        return StepVerdict(False, f"pauses until {_end(case, duration_s)}")
    return StepVerdict(True, f"{_span(duration_s)} have passed")


def _until(case: Case, until: Until) -> StepVerdict:
    answered = case.evidence.studies_by_step.get(case.status.step, 0) if case.evidence else 0
    asked = evidence_for(case, until.metrics) if until.metrics else StepVerdict(True, "")
    if asked.is_inconclusive:
        return asked
    if answered < until.min_studies:
        return StepVerdict(False, f"waits for studies: {answered} of {until.min_studies} in this step")
    return asked if until.metrics else StepVerdict(True, f"{answered} studies were answered in this step")


def _end(case: Case, duration_s: int) -> str:
    return f"{case.status.step_began_at + timedelta(seconds=duration_s):%Y-%m-%d %H:%M:%S %Z}"


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds % unit == 0 and seconds:
            return f"{seconds // unit} {name}"
    return f"{seconds} seconds"
