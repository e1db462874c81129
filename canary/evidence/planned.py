"""Metrics that are read at planned numbers of studies, and never between them."""

from __future__ import annotations

from typing import Final

from canary.evidence.agreement import agreement_of
from canary.evidence.alpha_spending import limits
from canary.evidence.delong import AucPair, compare_auc
from canary.evidence.metric import Evidence, Hypothesis, MetricKind, MetricPhase, MetricSpec

MIN_OF_EACH_TRUTH: Final = 10  # below, the normal limit of an AUC does not hold yet

Outcome = tuple[MetricPhase, str]


def planned_outcome(spec: MetricSpec, seen: Evidence, sharing: int) -> Outcome:
    """The verdict at the last planned look that was reached; Running until the first one.

    `sharing`: how many guardrails share the risk of a false abort.
    """
    if seen.observed < spec.planned_looks[0]:
        unread = f"{seen.observed} of {spec.planned_looks[0]} studies" if seen.observed else "no study yet"
        return MetricPhase.RUNNING, f"{unread}; it is not read before"
    if spec.kind is MetricKind.MEASUREMENT:
        return _agreement(spec, seen, sharing)
    return _auc(spec, seen, sharing)


def _agreement(spec: MetricSpec, seen: Evidence, sharing: int) -> Outcome:
    found = agreement_of(seen.differences, spec.margin or 0.0)
    reason = (
        f"after {found.pairs} pairs: the candidate differs by {_amount(spec, found.mean)} on average, the limits of "
        f"agreement are {_amount(spec, found.lower_limit)} to {_amount(spec, found.upper_limit)}"
        f" ({_amount(spec, found.lower_interval[0])} to {_amount(spec, found.upper_interval[1])} at the widest)"
    )
    if missing := seen.candidate_events + seen.champion_events:
        reason += f", and {missing} answers are missing"
    if found.p_biased <= spec.alpha_harm / sharing:
        return MetricPhase.FAILED, f"{reason}; that is beyond the margin"
    if found.p_equivalent <= spec.alpha_non_inferiority:
        return MetricPhase.SUCCESSFUL, f"{reason}; it lies within the margin, p = {found.p_equivalent:.2g}"
    return MetricPhase.INCONCLUSIVE, f"{reason}; agreement is not shown, p = {found.p_equivalent:.2g}"


def _amount(spec: MetricSpec, value: float) -> str:
    return f"{100 * value:+.1f} %" if spec.relative else f"{value:+.3g}"


def _auc(spec: MetricSpec, seen: Evidence, sharing: int) -> Outcome:
    """Looks one after the other, each with the studies of its own; the first that decides stands."""
    harm_limits = limits(spec.alpha_harm / sharing, spec.planned_looks)
    shown_limits = limits(spec.alpha_non_inferiority, spec.planned_looks)
    outcome = (MetricPhase.RUNNING, "")
    for look, harm_limit, shown_limit in zip(spec.planned_looks, harm_limits, shown_limits, strict=True):
        if seen.observed < look:
            break
        outcome = _look(spec, seen, look, harm_limit, shown_limit)
        if outcome[0] in (MetricPhase.FAILED, MetricPhase.SUCCESSFUL):
            return outcome
    if seen.observed == spec.planned_looks[-1] and outcome[0] is MetricPhase.RUNNING:
        return MetricPhase.INCONCLUSIVE, f"undecided at the last look, {outcome[1]}"
    return outcome


def _look(spec: MetricSpec, seen: Evidence, look: int, harm_limit: float, shown_limit: float) -> Outcome:
    truths = [pair.positive for pair in seen.scores[:look]]
    fewest = min(sum(truths), look - sum(truths))
    if fewest < MIN_OF_EACH_TRUTH:
        return MetricPhase.RUNNING, f"after {look} studies: only {fewest} of the rarer truth"
    found = compare_auc(seen.scores[:look])
    reason = f"after {look} studies: AUC {found.candidate:.3f} against {found.champion:.3f}"
    if found.standard_error == 0.0:
        return MetricPhase.RUNNING, f"{reason}, without any spread to judge by"
    if (z := _z(found, worse_by=spec.tolerance)) >= harm_limit:
        return MetricPhase.FAILED, f"{reason}; z = {z:.2f} ≥ {harm_limit:.2f}"
    if spec.hypothesis is Hypothesis.NO_HARM:
        is_last = look == spec.planned_looks[-1]
        phase = MetricPhase.SUCCESSFUL if is_last else MetricPhase.RUNNING
        return phase, f"{reason}; no evidence of harm"
    z = (found.difference + (spec.margin or 0.0)) / found.standard_error
    if z >= shown_limit:
        return MetricPhase.SUCCESSFUL, f"{reason}; z = {z:.2f} ≥ {shown_limit:.2f}"
    return MetricPhase.RUNNING, f"{reason}; z = {z:.2f}, {shown_limit:.2f} are needed"


def _z(found: AucPair, *, worse_by: float) -> float:
    return -(found.difference + worse_by) / found.standard_error
