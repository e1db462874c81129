"""The steps of a plan in words, for people."""

from __future__ import annotations

from canary.rollout.step import Analysis, Experiment, Pause, SetMirror, SetWeight, Step


def step_in_words(step: Step) -> str:
    """What the step waits for, as the rest of a sentence that begins with its number."""
    match step:
        case SetMirror():
            past = f", and the last of {step.replay_last} patients again" if step.replay_last else ""
            return f"the candidate reads {step.share_bp / 100:g} % of the studies as a shadow{past}"
        case SetWeight():
            return f"the candidate answers {step.weight_bp / 100:g} % of the patients"
        case Analysis():
            return f"evidence of {', '.join(step.metrics)}"
        case Experiment():
            return f"an experiment at {step.weight_bp / 100:g} %, with {', '.join(step.metrics)}"
        case Pause():
            return _pause_in_words(step)


def _pause_in_words(step: Pause) -> str:
    if step.approval is not None:
        roles = f" as {' and '.join(step.approval.roles)}" if step.approval.roles else ""
        return f"the approval of {step.approval.count} people{roles}"
    if step.until is not None:
        studies = [f"{step.until.min_studies} studies"] if step.until.min_studies else []
        return f"until {' and '.join((*studies, *step.until.metrics))}"
    return f"a pause of {(step.duration_s or 0) / 3600:g} hours"
