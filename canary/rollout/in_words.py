"""The questions of a plan's metrics in words."""

from __future__ import annotations

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec

_ASKED = {
    MetricKind.CANARY_FAILURES: "Do more failures fall in the canary than its weight explains?",
    MetricKind.SHADOW_FAILURES: "Does the candidate fail more often on the same studies?",
    MetricKind.FAILURES_OVER_SLO: "Does the canary fail more often than is accepted?",
    MetricKind.SENSITIVITY: "Does the candidate miss more of what is there?",
    MetricKind.SPECIFICITY: "Is the candidate wrong on more studies without the finding?",
    MetricKind.DICE: "Do the candidate's segmentations overlap with the champion's by less than is tolerated?",
    MetricKind.MEASUREMENT: "Do both versions measure the same?",
    MetricKind.LATENCY: "Does the candidate take longer on the same studies?",
    MetricKind.AUC: "Does the candidate tell positive from negative studies less well?",
}


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
