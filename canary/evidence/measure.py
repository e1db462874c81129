"""What a metric says now: one verdict, its evidence and its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from canary.evidence import told
from canary.evidence.metric import (
    PLANNED,
    Evidence,
    Hypothesis,
    Measurement,
    MetricKind,
    MetricPhase,
    MetricSpec,
    MetricState,
    StratumMeasurement,
)
from canary.evidence.metric_state import harm_log10_e, start, stratum_slots
from canary.evidence.planned import planned_outcome
from canary.evidence.strata import worse_strata

Outcome = tuple[MetricPhase, str]


def measure(spec: MetricSpec, state: MetricState, *, guardrails: int = 1, ended: bool = False) -> Measurement:
    """The verdict on one metric. `guardrails`: how many metrics share the risk of a false abort.

    Harm counts from the look at which its evidence was highest, which Ville's inequality allows; non-inferiority has
    to hold now. Worse strata hold a metric, and so does a stratum with too few studies. `ended`: no more studies
    will come, and what is open is Inconclusive then, however little was seen.
    """
    strata = _strata(spec, state)
    phase, reason = _outcome(spec, state, strata, 1 if spec.critical else guardrails)
    if ended and phase is MetricPhase.RUNNING:
        phase, reason = MetricPhase.INCONCLUSIVE, f"ended undecided, {reason}"
    planned = spec.kind in PLANNED
    shows = spec.hypothesis is Hypothesis.NON_INFERIORITY and not planned
    return Measurement(
        metric=spec.name,
        phase=phase,
        reason=reason,
        log10_e_harm=None if planned else harm_log10_e(spec, state),
        log10_e_non_inferiority=state.overall.non_inferiority.log10_e if shows else None,
        observed=state.overall.observed,
        candidate_events=state.overall.candidate_events,
        champion_events=state.overall.champion_events,
        strata=strata,
    )


def measure_all(
    specs: Iterable[MetricSpec], states: Mapping[str, MetricState], *, ended: bool = False
) -> tuple[Measurement, ...]:
    """All metrics of a plan, by their names; one without a state has seen nothing yet."""
    specs = tuple(specs)
    sharing = sharing_guardrails(specs)
    return tuple(
        measure(spec, states.get(spec.name) or start(spec), guardrails=sharing, ended=ended) for spec in specs
    )


def sharing_guardrails(specs: Iterable[MetricSpec]) -> int:
    """How many metrics share the risk of a false abort: all but those that run dry or are critical."""
    return max(1, sum(not spec.dry_run and not spec.critical for spec in specs))


def harm_limit(spec: MetricSpec, guardrails: int) -> float:
    """log10 of the e-value at which a metric fails: 1/alpha, times how many metrics share that risk with it."""
    return math.log10((1 if spec.critical else guardrails) / spec.alpha_harm)


def non_inferiority_limit(spec: MetricSpec) -> float:
    """log10 of the e-value at which non-inferiority is shown: 1/alpha, shared with nobody, since all must pass."""
    return -math.log10(spec.alpha_non_inferiority)


def unreadable(spec: MetricSpec, why: str) -> Measurement:
    """A metric whose data could not be had: an Error, which neither promotes nor aborts."""
    return Measurement(spec.name, MetricPhase.ERROR, f"could not be measured: {why}")


def _outcome(
    spec: MetricSpec, state: MetricState, strata: tuple[StratumMeasurement, ...], sharing: int
) -> Outcome:
    seen = state.overall
    after = f"after {seen.observed} {told.unit(spec)}"
    if spec.kind in PLANNED:
        return planned_outcome(spec, seen, sharing)
    limit = harm_limit(spec, sharing)
    if state.harm_peak >= limit:
        where = _worst_stratum(strata, state)
        return (
            MetricPhase.FAILED,
            f"{after}: {_facts(spec, state, where)}; {told.evidence(state.harm_peak, limit)}",
        )
    if not seen.observed:
        return MetricPhase.RUNNING, "no study yet"
    seems_worse = [stratum for stratum in strata if stratum.phase is MetricPhase.FAILED]
    if seems_worse:
        return MetricPhase.INCONCLUSIVE, f"{after}: {_held(spec, state, seems_worse)}"
    return _open_outcome(spec, state, after)


def _open_outcome(spec: MetricSpec, state: MetricState, after: str) -> Outcome:
    """Nothing speaks of harm; is what was to be shown shown?"""
    seen = state.overall
    lacking = next(_lacking(spec, state), None)
    if spec.hypothesis is Hypothesis.NON_INFERIORITY:
        limit = non_inferiority_limit(spec)
        is_shown = seen.non_inferiority.log10_e >= limit
        evidence = told.evidence(seen.non_inferiority.log10_e, limit)
    else:
        is_shown = seen.observed >= spec.min_observations
        evidence = "no evidence of harm" if is_shown else f"{spec.min_observations} are needed"
    reason = f"{after}: {told.facts(spec, seen)}; {evidence}"
    if is_shown and lacking is None:
        return MetricPhase.SUCCESSFUL, reason
    if lacking is not None:
        reason = f"{reason}; {lacking}"
    if spec.futility_limit is not None and seen.observed >= spec.futility_limit:
        return MetricPhase.INCONCLUSIVE, f"undecided at its limit, {reason}"
    return MetricPhase.RUNNING, reason


def _strata(spec: MetricSpec, state: MetricState) -> tuple[StratumMeasurement, ...]:
    log10_e = {name: seen.harm.log10_e for name, seen in state.strata}
    worse = worse_strata(log10_e, stratum_slots(spec), spec.strata_fdr)
    return tuple(
        StratumMeasurement(name, _phase_of(spec, name in worse, seen), seen.observed, log10_e[name])
        for name, seen in state.strata
    )


def _phase_of(spec: MetricSpec, is_worse: bool, seen: Evidence) -> MetricPhase:
    if is_worse:
        return MetricPhase.FAILED
    is_covered = seen.observed >= spec.min_per_stratum and not _looks_worse(spec, seen)
    return MetricPhase.SUCCESSFUL if is_covered else MetricPhase.INCONCLUSIVE


def _lacking(spec: MetricSpec, state: MetricState) -> Iterator[str]:
    """Why strata do not let the metric pass yet."""
    if spec.strata and not state.strata:
        yield "no stratum has a study yet"
    for name, seen in state.strata:
        if seen.observed < spec.min_per_stratum:
            yield f"{name} has {seen.observed} of the {spec.min_per_stratum} that each stratum needs"
        elif _looks_worse(spec, seen):
            yield f"in {name} the candidate looks worse by the margin or more"


def _looks_worse(spec: MetricSpec, seen: Evidence) -> bool:
    """Whether the mere average of a stratum lies beyond the margin: no proof, and no reason to promote."""
    if spec.margin is None:
        return False
    accepted = math.log1p(spec.margin) if spec.kind is MetricKind.LATENCY else spec.margin
    return seen.differences.mean <= -accepted


def _worst_stratum(strata: tuple[StratumMeasurement, ...], state: MetricState) -> str | None:
    """The stratum that carries the harm, if it says more than all studies together."""
    worst = max(strata, key=lambda stratum: stratum.log10_e_harm, default=None)
    if worst is None or worst.log10_e_harm <= state.overall.harm.log10_e:
        return None
    return worst.stratum


def _facts(spec: MetricSpec, state: MetricState, stratum: str | None) -> str:
    if stratum is None:
        return told.facts(spec, state.overall)
    seen = dict(state.strata)[stratum]
    return f"among {seen.observed} of {stratum} {told.facts(spec, seen)}"


def _held(spec: MetricSpec, state: MetricState, worse: list[StratumMeasurement]) -> str:
    told_of = max(worse, key=lambda stratum: stratum.log10_e_harm)
    return (
        f"{_facts(spec, state, told_of.stratum)} (log10 E = {told_of.log10_e_harm:.1f}); a person has to look at "
        + ", ".join(sorted(stratum.stratum for stratum in worse))
    )
