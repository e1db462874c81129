"""The verdict on drift: an alarm takes evidence, and effect, and a consequence that cannot be excluded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from observability.drift.consequence import Consequence, consequence_of
from observability.drift.counters import Node, Slice, Tally
from observability.drift.detector import Evidence, null_of, watched
from observability.drift.dispersion import Floats
from observability.drift.e_bh import found_among
from observability.drift.effect import Effect, effect_of
from observability.drift.expected import OperatingPoint
from observability.drift.reference import ROOT, Armed, ArmingRule, Reference
from observability.drift.signals import SignalGroup, SignalSpec
from observability.drift.tree import node_weights, smallest_subtrees

_LN_10: Final = math.log(10.0)
Key = tuple[Node, str]


class DriftState(StrEnum):
    """What a person sees."""

    NOT_ARMED = "not-armed"  # nothing can be said, which is not that all is well
    NO_EVIDENCE = "quiet"
    WATCH = "watch"  # evidence without effect or consequence, or a large effect without evidence yet
    ALARM = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPlan:
    """What a model owner sets. One false alarm in `arl_slices` slices or more is accepted in the mean, over all
    signals and nodes together.

    Effect is a PSI of `least_psi`; consequence a change of `least_change` at the operating point. A PSI of
    `large_psi` over `large_studies` studies is shown even where there is no evidence yet.
    """

    arl_slices: float
    operating_point: OperatingPoint | None = None
    least_psi: float = 0.02
    least_change: float = 0.02
    large_psi: float = 0.25
    large_studies: int = 500
    arming: ArmingRule = field(default_factory=ArmingRule)

    def __post_init__(self) -> None:
        if self.arl_slices <= 1 or min(self.least_psi, self.least_change, self.large_psi) < 0:
            raise ValueError("arl_slices exceeds 1, and no limit is negative")


@dataclass(frozen=True, slots=True)
class SignalFinding:
    """One signal at one node that speaks: log10 of its M, the slice since which, and how large it is."""

    node: Node
    signal: str
    group: SignalGroup
    log10_m: float
    since: Slice
    effect: Effect


@dataclass(frozen=True, slots=True)
class NotArmed:
    """A signal that is not watched at a node, and in a clause why."""

    node: Node
    signal: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignalEvidence:
    """A signal's part of M over all its places, as log10 after each slice: the parts add up to M."""

    signal: str
    trajectory: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """`trajectory`: log10 of M over all after each slice from `first_slice`; `log10_limit` is what it takes.

    `subtrees`: the smallest parts of the tree that explain it. `reached_at`: the first slice at which M reached the
    limit. Findings stand as they were when M was highest, so an alarm stays until a person has looked.
    """

    state: DriftState
    sentence: str
    reference_digest: str
    first_slice: Slice
    log10_limit: float
    trajectory: tuple[float, ...] = ()
    reached_at: Slice | None = None
    subtrees: tuple[Node, ...] = ()
    findings: tuple[SignalFinding, ...] = ()
    consequence: Consequence = field(default_factory=Consequence)
    not_armed: tuple[NotArmed, ...] = ()
    by_signal: tuple[SignalEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class _Look:
    """All that one look at the counters knows."""

    reference: Reference
    tally: Tally
    slices: tuple[Slice, ...]
    plan: DriftPlan
    armed: Mapping[Key, Armed]
    evidence: Mapping[Key, Evidence]
    weights: Mapping[Key, float]

    def now(self, key: Key) -> float:
        """log M of one key, weighted."""
        return math.log(self.weights[key]) + self.evidence[key].now

    def total(self) -> Floats:
        """log M over all, after each slice."""
        rows = [math.log(self.weights[key]) + seen.log_m for key, seen in self.evidence.items()]
        result: Floats = np.logaddexp.reduce(np.asarray(rows), axis=0)
        return result

    def by_signal(self) -> tuple[SignalEvidence, ...]:
        rows: dict[str, Floats] = {}
        for (node, name), seen in self.evidence.items():
            part = math.log(self.weights[node, name]) + seen.log_m
            rows[name] = np.logaddexp(rows[name], part) if name in rows else part
        return tuple(
            SignalEvidence(name, tuple((row / _LN_10).tolist())) for name, row in sorted(rows.items())
        )


def judge(
    reference: Reference, tally: Tally, until: Slice, plan: DriftPlan, restarted_at: Slice | None = None
) -> DriftVerdict:
    """Judge all slices up to `until`, the last that is over. The same counters give the same verdict, to the bit.

    `restarted_at`: the first slice after a person had looked at an alarm and kept the reference; watching begins
    anew there. What was counted before the reference's `watched_from` is never watched.
    """
    first = max(reference.watched_from, restarted_at or reference.watched_from)
    look = _look(reference, tally, tuple(range(first, until + 1)), plan)
    verdict = _blank(look, first)
    if not look.evidence:
        at_root = Counter(one.reason for one in verdict.not_armed if one.node == ROOT)
        return replace(verdict, sentence=f"No signal is armed: {at_root.most_common(1)[0][0]}.")
    total = look.total()
    verdict = replace(
        verdict,
        trajectory=tuple(float(value) / _LN_10 for value in total),
        by_signal=look.by_signal(),
    )
    reached = np.flatnonzero(total >= math.log(plan.arl_slices))
    if not len(reached):
        return _without_evidence(look, verdict)
    until_highest = look.slices[: int(np.argmax(total)) + 1]
    spoke = look if until_highest == look.slices else _look(reference, tally, until_highest, plan)
    return _with_evidence(spoke, replace(verdict, reached_at=look.slices[int(reached[0])]))


def _blank(look: _Look, first: Slice) -> DriftVerdict:
    silent = tuple(NotArmed(*key, one.reason) for key, one in look.armed.items() if one.null is None)
    limit = math.log10(look.plan.arl_slices)
    return DriftVerdict(DriftState.NOT_ARMED, "", look.reference.digest, first, limit, not_armed=silent)


def _look(reference: Reference, tally: Tally, slices: tuple[Slice, ...], plan: DriftPlan) -> _Look:
    armed = reference.armed(plan.arming)
    nulls = {key: one.null for key, one in armed.items() if one.null is not None}
    tables = tally.tables({node for node, _ in nulls}, reference.signals, slices)
    evidence = {key: watched(null, tables[key]) for key, null in nulls.items()}
    nodes, signals_at = node_weights({node for node, _ in nulls}), Counter(node for node, _ in nulls)
    weights = {(node, name): nodes[node] / signals_at[node] for node, name in nulls}
    return _Look(reference, tally, slices, plan, armed, evidence, weights)


def _speaking(look: _Look, limit: float) -> tuple[Key, ...]:
    """What e-BH names; where the evidence lies in the sum alone, its largest part."""
    log_m = {key: look.now(key) for key in look.evidence}
    return found_among(log_m, limit) or (max(log_m, key=lambda key: log_m[key]),)


def _nodes(keys: tuple[Key, ...]) -> tuple[Node, ...]:
    return tuple(sorted({node for node, _ in keys}, key=lambda node: (len(node), node)))


def _is_silent_without(look: _Look, node: Node, below: tuple[Node, ...], keys: tuple[Key, ...]) -> bool:
    """Whether the node's other studies give no evidence of what speaks at the node."""
    known, rest = look.reference.tally.without(below), look.tally.without(below)
    for _, name in (key for key in keys if key[0] == node):
        signal = look.reference.signal(name)
        others = known.table(node, signal, known.slices)
        if others.sum() < look.plan.arming.least_studies:
            continue
        null = null_of(others, is_ordered=signal.is_numeric, belief=signal.belief)
        if watched(null, rest.table(node, signal, look.slices)).now >= math.log(look.plan.arl_slices):
            return False
    return True


def _finding(look: _Look, key: Key) -> SignalFinding:
    node, name = key
    signal, seen = look.reference.signal(name), look.evidence[key]
    since = look.slices[seen.began]
    return SignalFinding(
        node, name, signal.group, seen.now / _LN_10, since, _effect(look, node, signal, since)
    )


def _effect(look: _Look, node: Node, signal: SignalSpec, since: Slice) -> Effect:
    known, now = look.reference.tally, tuple(number for number in look.slices if number >= since)
    before = known.table(node, signal, known.slices).sum(0)
    return effect_of(signal, before, look.tally.table(node, signal, now).sum(0))


def _consequence(look: _Look, findings: tuple[SignalFinding, ...]) -> Consequence:
    """Where the strongest finding lies, since it began."""
    point = look.plan.operating_point
    if point is None or not findings:
        return Consequence()
    top, signal = findings[0], look.reference.signal(point.signal)
    known, now = look.reference.tally, tuple(number for number in look.slices if number >= top.since)
    before = known.table(top.node, signal, known.slices).sum(0)
    return consequence_of(point, before, look.tally.table(top.node, signal, now).sum(0))


def _without_evidence(look: _Look, verdict: DriftVerdict) -> DriftVerdict:
    large = tuple(
        finding
        for finding in (_finding_over_all(look, key) for key in look.evidence)
        if finding.effect.psi >= look.plan.large_psi and finding.effect.studies >= look.plan.large_studies
    )
    if large:
        top = max(large, key=lambda finding: finding.effect.psi)
        said = f"{_named(top)} differs much from the reference ({_size(top.effect)}), not yet beyond chance."
        return replace(verdict, state=DriftState.WATCH, sentence=said, findings=large)
    said = f"No drift in {len(look.evidence)} watched signals over {len(look.slices)} slices"
    if verdict.trajectory:
        said += f" (log10 M {verdict.trajectory[-1]:.1f} of {verdict.log10_limit:.1f})"
    return replace(verdict, state=DriftState.NO_EVIDENCE, sentence=f"{said}.")


def _finding_over_all(look: _Look, key: Key) -> SignalFinding:
    """Of everything that was watched, so that what creeps in is seen."""
    node, name = key
    signal, since = look.reference.signal(name), look.slices[0] if look.slices else 0
    log10_m = look.evidence[key].now / _LN_10
    return SignalFinding(node, name, signal.group, log10_m, since, _effect(look, node, signal, since))


def _with_evidence(look: _Look, verdict: DriftVerdict) -> DriftVerdict:
    keys = _speaking(look, math.log(look.plan.arl_slices))
    subtrees = smallest_subtrees(
        _nodes(keys), lambda node, below: _is_silent_without(look, node, below, keys)
    )
    findings = tuple(_finding(look, key) for key in keys if key[0] in subtrees)
    consequence = _consequence(look, findings)
    state, said = _state_of(look.plan, findings, consequence)
    return replace(
        verdict, state=state, sentence=said, subtrees=subtrees, findings=findings, consequence=consequence
    )


def _state_of(
    plan: DriftPlan, findings: tuple[SignalFinding, ...], consequence: Consequence
) -> tuple[DriftState, str]:
    largest = max(findings, key=lambda finding: finding.effect.psi)
    said = f"{_named(largest)} has drifted ({_size(largest.effect)}, {_bins(largest.effect)})"
    if largest.effect.psi < plan.least_psi:
        return DriftState.WATCH, f"{said}, which is too little to act on."
    if not consequence.may_matter(plan.least_change):
        return DriftState.WATCH, f"{said}, with little to follow; {consequence.in_words()}."
    return DriftState.ALARM, f"{said}; {consequence.in_words()}."


def _named(finding: SignalFinding) -> str:
    where = " / ".join(finding.node) if finding.node else "all sites"
    return f"{finding.signal} at {where}"


def _size(effect: Effect) -> str:
    return f"PSI {effect.psi:.2f} over {effect.studies} studies"


def _bins(effect: Effect) -> str:
    top = effect.bins[0]
    return f"in the bin {top.label} {top.studies} where {top.expected:.1f} were expected"
