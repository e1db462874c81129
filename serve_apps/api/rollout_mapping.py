"""A rollout's wire form, from what is stored of it and what is known of it now."""

from __future__ import annotations

from canary.evidence.measure import harm_limit, non_inferiority_limit, sharing_guardrails
from canary.evidence.metric import PLANNED, Hypothesis, Measurement
from canary.rollout.case import Case
from canary.rollout.expected import Expectation, Expected, expected
from canary.rollout.next_gate import next_gate
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import MetricSeen
from canary.rollout.step_told import step_in_words
from ledger import StoredRollout
from serve_apps.api.rollout_schemas import (
    ApprovalOut,
    ConditionOut,
    EventOut,
    EvidenceOut,
    ExpectationOut,
    ExpectedOut,
    ExposureOut,
    GateOut,
    PlanStepOut,
    RolloutDetailOut,
    RolloutOut,
    StratumOut,
)
from serve_apps.application.rollouts import RolloutView


def rollout_out(stored: StoredRollout) -> RolloutOut:
    status = stored.status
    return RolloutOut(
        model=status.model,
        name=stored.plan.name,
        run=status.run,
        candidate=status.candidate,
        stable=status.stable,
        phase=status.phase,
        reason=status.reason,
        step=status.step,
        steps=len(stored.plan.steps),
        weight_bp=status.weight_bp,
        mirror_bp=status.mirror_bp,
        began_at=status.began_at,
        progressed_at=status.progressed_at,
        pause=status.pause,
        promoted_at=status.promoted_at,
    )


def detail_out(view: RolloutView) -> RolloutDetailOut:
    stored, case = view.stored, view.case
    return RolloutDetailOut(
        **rollout_out(stored).model_dump(),
        step_began_at=stored.status.step_began_at,
        plan_steps=plan_steps(stored),
        next_gate=gate_in_words(stored),
        gate=gate_out(case),
        exposure=exposure_out(view),
        studies_per_day=None if view.studies_per_day is None else round(view.studies_per_day, 1),
        expected=expected_out(expected(case, view.studies_per_day)),
        conditions=tuple(
            ConditionOut(kind=one.kind, holds=one.holds, reason=one.reason)
            for one in stored.status.conditions
        ),
        approvals=tuple(
            ApprovalOut(step=one.step, role=one.role, actor=one.actor, at=one.at) for one in view.approvals
        ),
        evidence=tuple(evidence_out(stored.plan, one) for one in view.evidence),
        events=tuple(
            EventOut(
                number=one.number,
                at=one.at,
                actor=one.actor,
                phase=one.after.phase,
                step=one.after.step,
                weight_bp=one.after.weight_bp,
                reason=one.reason,
            )
            for one in view.events
        ),
    )


def gate_in_words(stored: StoredRollout) -> str | None:
    """The step under way in words; None once all are done, or the rollout has ended."""
    status, steps = stored.status, stored.plan.steps
    if status.has_ended or status.step >= len(steps):
        return None
    return f"step {status.step} of {len(steps)}: {step_in_words(steps[status.step])}"


def plan_steps(stored: StoredRollout) -> tuple[PlanStepOut, ...]:
    return tuple(
        PlanStepOut(number=number, kind=step.kind, told=step_in_words(step))
        for number, step in enumerate(stored.plan.steps)
    )


def gate_out(case: Case) -> GateOut | None:
    found = next_gate(case)
    if found is None:
        return None
    return GateOut(
        kind=found.kind,
        roles=found.roles,
        people=found.people,
        studies=found.studies,
        studies_needed=found.studies_needed,
        metrics=found.metrics,
        until=found.until,
    )


def exposure_out(view: RolloutView) -> ExposureOut | None:
    """None where the evidence cannot be computed now."""
    if view.known is None:
        return None
    budget = view.stored.plan.budget
    return ExposureOut(
        studies=view.known.exposed_studies,
        studies_limit=budget.studies,
        adverse=view.known.adverse_events,
        adverse_limit=budget.adverse,
    )


def expected_out(found: Expected) -> ExpectedOut:
    return ExpectedOut(step=_expectation(found.step), promotion=_expectation(found.promotion))


def _expectation(found: Expectation) -> ExpectationOut:
    """To the minute: the rest is not known."""
    at = None if found.at is None else found.at.replace(second=0, microsecond=0)
    return ExpectationOut(at=at, reason=found.reason)


def evidence_out(plan: RolloutPlan, seen: MetricSeen) -> EvidenceOut:
    """What a metric says, with its numbers and what they take, as far as its kind has any."""
    spec, found = plan.metric(seen.metric), seen.measured
    has_e = spec.kind not in PLANNED
    shows = has_e and spec.hypothesis is Hypothesis.NON_INFERIORITY
    return EvidenceOut(
        metric=seen.metric,
        phase=seen.phase,
        reason=seen.reason,
        observed=seen.observed,
        kind=spec.kind,
        hypothesis=spec.hypothesis,
        margin=spec.margin,
        dry_run=spec.dry_run,
        critical=spec.critical,
        min_observations=None if spec.hypothesis is Hypothesis.NON_INFERIORITY else spec.min_observations,
        candidate_events=0 if found is None else found.candidate_events,
        champion_events=0 if found is None else found.champion_events,
        log10_e_harm=None if found is None else found.log10_e_harm,
        log10_e_harm_limit=harm_limit(spec, sharing_guardrails(plan.metrics)) if has_e else None,
        log10_e_non_inferiority=None if found is None else found.log10_e_non_inferiority,
        log10_e_non_inferiority_limit=non_inferiority_limit(spec) if shows else None,
        worst_stratum=None if found is None else worst_stratum(found),
    )


def worst_stratum(found: Measurement) -> StratumOut | None:
    """The stratum with the most evidence of harm; None where no stratum has any."""
    worst = max(found.strata, key=lambda one: one.log10_e_harm, default=None)
    if worst is None or worst.log10_e_harm <= 0:
        return None
    return StratumOut(
        stratum=worst.stratum,
        phase=worst.phase,
        observed=worst.observed,
        log10_e_harm=worst.log10_e_harm,
    )
