"""From probabilities to findings: aggregation, threshold, abstention, urgency, priority. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.errors import ModelFailed
from imaging.finding import Finding, Presence, Urgency
from imaging.volume import ImageName
from models.spec import Activation, Aggregation, FindingSpec, OutputSpec

TOLERANCE = 1e-4  # how far rounding may carry a probability out of [0, 1]

Floats = npt.NDArray[np.float32]


def probabilities(outputs: Floats, activation: Activation) -> Floats:
    """Outputs as probabilities. Raises ModelFailed when they were promised and are none."""
    if activation is Activation.SIGMOID:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * outputs)), dtype=np.float32)  # overflows nowhere
    if outputs.size and not (outputs.min() >= -TOLERANCE and outputs.max() <= 1 + TOLERANCE):
        raise ModelFailed("the network returned probabilities outside 0..1")
    return np.clip(outputs, 0, 1)


def aggregate(items: Floats, how: Aggregation) -> float:
    """One probability for the study from those of its items, `(items,)`, at least one."""
    match how:
        case Aggregation.MAX:
            return float(items.max())
        case Aggregation.TOP3_MEAN:
            return float(np.sort(items)[-3:].mean())
        case Aggregation.SINGLE:
            if len(items) != 1:
                raise ModelFailed(f"the version speaks of single images, and the study gave {len(items)}")
            return float(items[0])


def decide(spec: FindingSpec, probability: float, image: ImageName | None) -> Finding:
    """Apply the version's operating point. Only what is present is urgent. `image` speaks most for the finding."""
    presence = presence_of(spec, probability)
    key = image if presence is not Presence.ABSENT else None
    return Finding(
        concept=spec.concept,
        presence=presence,
        probability=probability,
        threshold=spec.threshold,
        urgency=spec.urgency if presence is Presence.PRESENT else Urgency.NONE,
        site=spec.site,
        key_instance_uid=None if key is None else key.instance_uid,
        key_frame=None if key is None else key.frame,
    )


def presence_of(spec: FindingSpec, probability: float) -> Presence:
    low, high = spec.abstain_low, spec.abstain_high
    if low is not None and high is not None and low <= probability <= high:
        return Presence.INDETERMINATE
    return Presence.PRESENT if probability >= spec.threshold else Presence.ABSENT


def most_urgent(findings: Sequence[Finding]) -> Urgency:
    """The first category, in the order of CID 7035, that a finding has."""
    present = {finding.urgency for finding in findings}
    return next((urgency for urgency in Urgency if urgency in present), Urgency.NONE)


def priority_score(findings: Sequence[Finding], spec: OutputSpec) -> int | None:
    """0-100 from the most probable finding that can be urgent; None when the version does no triage."""
    if not spec.priority:
        return None
    urgent = [
        finding.probability
        for finding, rule in zip(findings, spec.findings, strict=True)
        if rule.urgency is not Urgency.NONE
    ]
    points, scores = zip(*spec.priority, strict=True)
    return round(float(np.interp(max(urgent, default=0.0), points, scores)))
