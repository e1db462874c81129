"""From the wire to the plan, with every contradiction told by the field that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from canary.evidence.metric import MetricSpec
from canary.rollout.gate import Gates
from canary.rollout.notice import Notification
from canary.rollout.plan import (
    Background,
    Deadline,
    ExposureBudget,
    Participants,
    Regulatory,
    RollbackWindow,
    RolloutPlan,
    Surveillance,
)
from canary.rollout.plan_checks import step_faults
from canary.rollout.step import Analysis, ApprovalRule, Experiment, Pause, SetMirror, SetWeight, Step, Until
from canary.rollout.windows import Calendar, Freeze
from core.codec import InvalidDocument
from serve_apps.rollout_spec.rollout_wire import (
    AnalysisWire,
    ApprovalWire,
    GatesWire,
    PauseWire,
    RolloutSpec,
    RolloutWire,
    SetMirrorWire,
    StepWire,
    UntilWire,
    WindowsWire,
)
from serve_apps.rollout_spec.template_wire import TemplateWire
from serve_apps.rollout_spec.units import basis_points_of, seconds_of, window_of
from serve_apps.rollout_spec.wire_base import TemplateRef

Templates = Mapping[str, TemplateWire]
Faults = list[InvalidDocument]
REPLAYED_PATIENTS: Final = 500  # as `serinus replay` has it


def plan_of(wire: RolloutWire, templates: Templates) -> RolloutPlan | Faults:
    """The plan, or everything for which there is none."""
    if unknown := list(_unknown(wire.spec, templates)):
        return unknown
    mapping = _Mapping(wire.spec, templates)
    steps, faults = mapping.steps()
    try:
        regulatory = Regulatory(**wire.spec.regulatory.model_dump())
    except ValueError as error:
        return [*faults, InvalidDocument("/spec/regulatory", str(error))]
    faults += _contradictions(mapping, steps, regulatory)
    return faults or _built(wire, mapping, steps, regulatory)


def _contradictions(
    mapping: _Mapping, steps: tuple[Step, ...], regulatory: Regulatory
) -> Iterator[InvalidDocument]:
    metrics = mapping.metrics()
    yield from _of_names(metrics)
    found = step_faults(
        steps,
        metrics,
        live_exposure_allowed=regulatory.live_exposure_allowed,
        has_surveillance=mapping.surveillance() is not None,
    )
    yield from (InvalidDocument(f"/spec/steps/{one.step}", one.problem) for one in found)
    if mapping.background().starting_step > len(steps):
        yield InvalidDocument("/spec/background/startingStep", f"there are {len(steps)} steps, from 0")
    yield from _of_outside(mapping.spec, steps)


def _built(
    wire: RolloutWire, mapping: _Mapping, steps: tuple[Step, ...], regulatory: Regulatory
) -> RolloutPlan:
    spec = wire.spec
    return RolloutPlan(
        name=wire.metadata.name,
        model=spec.model.name,
        steps=steps,
        metrics=mapping.metrics(),
        background=mapping.background(),
        surveillance=mapping.surveillance(),
        deadline=Deadline(seconds_of(spec.progress_deadline), spec.on_deadline),
        budget=ExposureBudget(**spec.exposure_budget.model_dump()),
        calendar=calendar_of(spec.windows),
        rollback_window=RollbackWindow(
            spec.rollback_window.revisions, seconds_of(spec.rollback_window.duration)
        ),
        regulatory=regulatory,
        participants=Participants(**spec.assignment.model_dump()),
        notifications=tuple(Notification(one.url, one.events) for one in spec.notifications),
        gates=gates_of(spec.gates),
    )


def calendar_of(windows: WindowsWire) -> Calendar:
    return Calendar(
        windows.time_zone,
        tuple(window_of(text) for text in windows.allow),
        tuple(Freeze(one.first, one.last, one.reason) for one in windows.freeze),
    )


def gates_of(wire: GatesWire) -> Gates:
    return Gates(
        confirm_rollout=wire.confirm_rollout.url if wire.confirm_rollout else None,
        confirm_promotion=wire.confirm_promotion.url if wire.confirm_promotion else None,
        rollback=wire.rollback.url if wire.rollback else None,
    )


class _Mapping:
    """One rollout with its templates, all of which are there."""

    def __init__(self, spec: RolloutSpec, templates: Templates) -> None:
        self.spec, self._templates = spec, templates

    def steps(self) -> tuple[tuple[Step, ...], Faults]:
        """The steps before the promotion, and what is wrong with single ones."""
        steps: list[Step] = []
        faults: Faults = []
        for number, wire in enumerate(self.spec.steps):
            if _is_surveillance(wire):
                if number != len(self.spec.steps) - 1:
                    faults.append(
                        InvalidDocument(f"/spec/steps/{number}", "only the last step is postPromotion")
                    )
                continue
            try:
                steps.append(self._step(wire))
            except ValueError as error:
                faults.append(InvalidDocument(f"/spec/steps/{number}", str(error)))
        return tuple(steps), faults

    def surveillance(self) -> Surveillance | None:
        last = self.spec.steps[-1].analysis
        if last is None or not last.post_promotion or last.duration is None:
            return None
        return Surveillance(self._named(last.templates), seconds_of(last.duration))

    def background(self) -> Background:
        wire = self.spec.background
        return Background(self._named(wire.templates), wire.starting_step) if wire else Background()

    def metrics(self) -> tuple[MetricSpec, ...]:
        """Those of every template that the rollout names, each template once."""
        names = dict.fromkeys(ref.template_name for _, ref in _references(self.spec))
        strata = tuple(self.spec.strata)
        return tuple(
            metric.planned(strata) for name in names for metric in self._templates[name].spec.metrics
        )

    def _step(self, wire: StepWire) -> Step:
        if wire.set_mirror is not None:
            return _mirror(wire.set_mirror)
        if wire.set_weight is not None:
            return SetWeight(basis_points_of(wire.set_weight))
        if wire.analysis is not None:
            return Analysis(self._named(wire.analysis.templates), _seconds(wire.analysis.max_duration))
        if wire.experiment is not None:
            weight_bp, length_s = (
                basis_points_of(wire.experiment.weight),
                seconds_of(wire.experiment.duration),
            )
            return Experiment(weight_bp, length_s, self._named(wire.experiment.analysis.templates))
        if wire.pause is not None:
            return self._pause(wire.pause)
        raise ValueError("a step is one of setMirror, setWeight, analysis, pause and experiment")

    def _pause(self, wire: PauseWire) -> Pause:
        return Pause(
            _seconds(wire.duration),
            _approval(wire.approval) if wire.approval else None,
            self._until(wire.until) if wire.until else None,
        )

    def _until(self, wire: UntilWire) -> Until:
        return Until(wire.min_studies, self._named(wire.evidence), _seconds(wire.max_duration))

    def _named(self, refs: Sequence[TemplateRef]) -> tuple[str, ...]:
        return tuple(
            metric.name for ref in refs for metric in self._templates[ref.template_name].spec.metrics
        )


def _mirror(wire: SetMirrorWire) -> SetMirror:
    asked = wire.replay_backlog
    last = (REPLAYED_PATIENTS if asked else 0) if isinstance(asked, bool) else asked
    return SetMirror(basis_points_of(wire.percentage), replay_last=last)


def _is_surveillance(wire: StepWire) -> bool:
    return wire.analysis is not None and wire.analysis.post_promotion


def _approval(wire: ApprovalWire) -> ApprovalRule:
    return ApprovalRule(tuple(wire.roles), len(wire.roles) if wire.count is None else wire.count)


def _seconds(text: str | None) -> int | None:
    return seconds_of(text) if text is not None else None


def _references(spec: RolloutSpec) -> Iterator[tuple[str, TemplateRef]]:
    """Every template that is named, with the pointer to where."""
    for number, step in enumerate(spec.steps):
        for place, refs in _of_step(step):
            for index, ref in enumerate(refs):
                yield f"/spec/steps/{number}/{place}/{index}", ref
    for index, ref in enumerate(spec.background.templates if spec.background else ()):
        yield f"/spec/background/templates/{index}", ref


def _of_step(step: StepWire) -> Iterator[tuple[str, Sequence[TemplateRef]]]:
    analyses: tuple[tuple[str, AnalysisWire | None], ...] = (
        ("analysis/templates", step.analysis),
        ("experiment/analysis/templates", step.experiment.analysis if step.experiment else None),
    )
    yield from ((place, one.templates) for place, one in analyses if one is not None)
    if step.pause is not None and step.pause.until is not None:
        yield "pause/until/evidence", step.pause.until.evidence


def _unknown(spec: RolloutSpec, templates: Templates) -> Iterator[InvalidDocument]:
    for pointer, ref in _references(spec):
        if ref.template_name not in templates:
            yield InvalidDocument(f"{pointer}/templateName", "no AnalysisTemplate of this file has that name")


def _of_names(metrics: Sequence[MetricSpec]) -> Iterator[InvalidDocument]:
    for name, count in Counter(metric.name for metric in metrics).items():
        if count > 1:
            yield InvalidDocument("/spec", f"{count} metrics of its templates are called {name}")


def _of_outside(spec: RolloutSpec, steps: Sequence[Step]) -> Iterator[InvalidDocument]:
    """Addresses that are told twice, and a gate of what never comes."""
    seen: set[str] = set()
    for number, one in enumerate(spec.notifications):
        if one.url in seen:
            yield InvalidDocument(
                f"/spec/notifications/{number}/url", "another notification has that address"
            )
        seen.add(one.url)
    if spec.gates.confirm_promotion is not None and not any(isinstance(step, SetWeight) for step in steps):
        yield InvalidDocument("/spec/gates/confirmPromotion", "a plan without setWeight promotes nothing")
