"""The steps of a plan and the questions of its metrics in words."""

from __future__ import annotations

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.rollout.step import Analysis, Experiment, Pause, SetMirror, SetWeight, Step

_ASKED = {
    MetricKind.CANARY_FAILURES: "Do more failures fall in the canary than its weight explains?",
    MetricKind.SHADOW_FAILURES: "Does the candidate fail more often on the same studies?",
    MetricKind.FAILURES_OVER_SLO: "Does the canary fail more often than is accepted?",
    MetricKind.SENSITIVITY: "Does the candidate miss more of what is there?",
    MetricKind.SPECIFICITY: "Is the candidate wrong on more studies without the finding?",
    MetricKind.DICE: "Do the candidate's segmentations overlap less with the truth?",
    MetricKind.MEASUREMENT: "Do both versions measure the same?",
    MetricKind.LATENCY: "Does the candidate take longer on the same studies?",
    MetricKind.AUC: "Does the candidate tell positive from negative studies less well?",
}


def step_in_words(step: Step) -> str:
    """What a step does, or what it waits for."""
    match step:
        case SetMirror():
            return f"the candidate reads {step.share_bp / 100:g} % of the studies as a shadow"
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


def question_of(spec: MetricSpec) -> str:
    """What a metric asks, and where it has to show that the candidate is not worse, by how much."""
    asked = _ASKED[spec.kind]
    if spec.hypothesis is not Hypothesis.NON_INFERIORITY:
        return asked
    return f"{asked} It has to be shown that it does not by {margin_in_words(spec)} or more."


def margin_in_words(spec: MetricSpec) -> str:
    """The margin with its unit: points of a proportion, of Dice or of an AUC; percent; or the measurement's unit."""
    margin = spec.margin or 0.0
    if spec.kind is MetricKind.LATENCY or spec.relative:
        return f"{100 * margin:g} %"
    if spec.kind is MetricKind.MEASUREMENT:
        return f"{margin:g} of its unit"
    if spec.kind in (MetricKind.DICE, MetricKind.AUC):
        return f"{margin:g}"
    return f"{100 * margin:g} percentage points"
