"""What all metrics of a plan say together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from canary.evidence.measure import sharing_guardrails
from canary.evidence.metric import Hypothesis, Judgement, Measurement, MetricPhase, MetricSpec


def judge(specs: Iterable[MetricSpec], measurements: Iterable[Measurement]) -> Judgement:
    """One verdict: harm first, then what could not be measured or decided, then what is open; promotion last.

    Failed (abort): a metric has failed, or the average of the guardrails' evidence of harm reaches its limit. Both
    together err with a chance of at most the average alpha_harm, since one guardrail at K/alpha lifts the average
    of K to 1/alpha; each critical metric adds its own alpha_harm. Successful (promote): every non-inferiority
    metric is Successful, of which there must be one, and every guardrail that must have data too. As all must
    pass, none needs a smaller alpha (Berger 1982). What runs dry never counts.
    """
    counted = [spec for spec in specs if not spec.dry_run]
    told = {measurement.metric: measurement for measurement in measurements}
    average = _average_log10_e(counted, told)
    for found in (_aborted(counted, told, average), _held(counted, told), _open(counted, told)):
        if found is not None:
            return Judgement(found[0], found[1], found[2], average)
    shown = tuple(spec.name for spec in counted if spec.hypothesis is Hypothesis.NON_INFERIORITY)
    if not shown:
        reason = "no evidence of harm, and no metric that could show non-inferiority"
        return Judgement(MetricPhase.RUNNING, reason, (), average)
    reasons = "; ".join(f"{name} {told[name].reason}" for name in shown)
    return Judgement(MetricPhase.SUCCESSFUL, f"not inferior by all metrics: {reasons}", shown, average)


Found = tuple[MetricPhase, str, tuple[str, ...]]


def _aborted(specs: list[MetricSpec], told: Mapping[str, Measurement], average: float | None) -> Found | None:
    failed = [spec for spec in specs if _phase(spec, told) is MetricPhase.FAILED]
    failed.sort(key=lambda spec: not spec.critical)
    if failed:
        first = failed[0].name
        return MetricPhase.FAILED, f"aborted by {first} {told[first].reason}", tuple(s.name for s in failed)
    if average is None or average < (limit := _average_limit(specs)):
        return None
    worst = sorted(_guardrails(specs, told), key=lambda spec: -_log10_e(spec, told))
    reason = (
        f"aborted by the average of {sharing_guardrails(specs)} guardrails, log10 E = {average:.1f} ≥ {limit:.1f}; "
        f"the highest is {worst[0].name} {told[worst[0].name].reason}"
    )
    return MetricPhase.FAILED, reason, tuple(spec.name for spec in worst)


def _held(specs: list[MetricSpec], told: Mapping[str, Measurement]) -> Found | None:
    for phase in (MetricPhase.ERROR, MetricPhase.INCONCLUSIVE):
        for spec in specs:
            if _phase(spec, told) is phase and not _may_be_empty(spec, told):
                return phase, f"{spec.name} {told[spec.name].reason}", (spec.name,)
    return None


def _open(specs: list[MetricSpec], told: Mapping[str, Measurement]) -> Found | None:
    waiting = tuple(
        spec.name for spec in specs if _must_pass(spec) and _phase(spec, told) is not MetricPhase.SUCCESSFUL
    )
    if not waiting:
        return None
    first = told.get(waiting[0])
    reason = first.reason if first is not None else "was not measured yet"
    return MetricPhase.RUNNING, f"waits for {waiting[0]}: {reason}", waiting


def _must_pass(spec: MetricSpec) -> bool:
    return spec.must_have_data or spec.hypothesis is Hypothesis.NON_INFERIORITY


def _may_be_empty(spec: MetricSpec, told: Mapping[str, Measurement]) -> bool:
    """A guardrail that need not have data, and has none, says nothing."""
    measurement = told[spec.name]
    return not _must_pass(spec) and not measurement.observed and measurement.phase is MetricPhase.INCONCLUSIVE


def _phase(spec: MetricSpec, told: Mapping[str, Measurement]) -> MetricPhase:
    """A metric that was not measured is open."""
    measurement = told.get(spec.name)
    return MetricPhase.RUNNING if measurement is None else measurement.phase


def _guardrails(specs: list[MetricSpec], told: Mapping[str, Measurement]) -> list[MetricSpec]:
    """Those that share the risk of a false abort and have an e-value."""
    return [spec for spec in specs if not spec.critical and _log10_e(spec, told) > -math.inf]


def _log10_e(spec: MetricSpec, told: Mapping[str, Measurement]) -> float:
    measurement = told.get(spec.name)
    if measurement is None or measurement.log10_e_harm is None:
        return -math.inf
    return measurement.log10_e_harm


def _average_log10_e(specs: list[MetricSpec], told: Mapping[str, Measurement]) -> float | None:
    """log10 of the guardrails' average, each weighted by its alpha_harm; one without an e-value counts as 0."""
    guardrails = _guardrails(specs, told)
    if not guardrails:
        return None
    terms = [_log10_e(spec, told) + math.log10(spec.alpha_harm) for spec in guardrails]
    top = max(terms)
    total = sum(spec.alpha_harm for spec in specs if not spec.critical)
    return top + math.log10(sum(10 ** (term - top) for term in terms) / total)


def _average_limit(specs: list[MetricSpec]) -> float:
    sharing = [spec.alpha_harm for spec in specs if not spec.critical]
    return -math.log10(sum(sharing) / len(sharing))
