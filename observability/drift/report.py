"""What a person reads about drift: the verdict, each signal then and now, and what could not be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from observability.drift.against_truth import FindingAgainstTruth
from observability.drift.blind_spot import BlindSpot, blind_spots
from observability.drift.counters import Ints, Slice, Tally
from observability.drift.effect import Effect, effect_of
from observability.drift.outlier import OUTLIER
from observability.drift.reference import ROOT, Reference
from observability.drift.scoreboard import SetRun
from observability.drift.signals import SignalSpec
from observability.drift.tree import node_weights
from observability.drift.verdict import DriftPlan, DriftVerdict, judge

WEEK_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class SignalThenAndNow:
    """A signal over all sites: the studies in each bin of the reference and of what was watched."""

    signal: SignalSpec
    reference: tuple[int, ...]
    now: tuple[int, ...]
    effect: Effect
    reason_not_armed: str = ""


@dataclass(frozen=True, slots=True)
class Outliers:
    """Studies unlike all others, of those to which the rule was put."""

    flagged: int
    studies: int

    @property
    def share(self) -> float | None:
        return self.flagged / self.studies if self.studies else None


@dataclass(frozen=True, slots=True)
class TruthReport:
    """What the version says beside what was really there, and what became of the ground-truth sets that it read."""

    findings: tuple[FindingAgainstTruth, ...]
    scoreboard: tuple[SetRun, ...]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All that the page tells. The same counters make the same report."""

    model: str
    reference_version: int
    accepted_by: str
    slice_s: int
    until: Slice
    verdict: DriftVerdict
    signals: tuple[SignalThenAndNow, ...]
    blind_spots: tuple[BlindSpot, ...]
    truth: TruthReport | None = None
    reference_from: Slice = 0

    @property
    def outliers(self) -> Outliers | None:
        """How many studies were flagged since watching began; None where no reference has a rule for that."""
        found = next((one.now for one in self.signals if one.signal.name == OUTLIER.name), None)
        if found is None:
            return None
        flagged = found[OUTLIER.bin_of("yes")]
        return Outliers(flagged, flagged + found[OUTLIER.bin_of("no")])


def report_of(
    reference: Reference,
    tally: Tally,
    until: Slice,
    plan: DriftPlan,
    restarted_at: Slice | None = None,
    *,
    with_blind_spots: bool = True,
) -> DriftReport:
    """The report at the end of slice `until`, as `judge` takes it. Blind spots cost far more than all the rest."""
    verdict = judge(reference, tally, until, plan, restarted_at)
    slices = range(verdict.first_slice, until + 1)
    then = reference.tally.tables((ROOT,), reference.signals, reference.tally.slices)
    now = tally.tables((ROOT,), reference.signals, slices)
    silent = {one.signal: one.reason for one in verdict.not_armed if one.node == ROOT}
    return DriftReport(
        reference.model,
        reference.version,
        reference.accepted_by,
        reference.slice_s,
        until,
        verdict,
        tuple(_signal(one, then, now, silent) for one in reference.signals),
        _blind_spots(reference, now, plan) if with_blind_spots else (),
        reference_from=min(reference.tally.slices, default=reference.watched_from),
    )


def _signal(
    signal: SignalSpec,
    then: Mapping[tuple[tuple[str, ...], str], Ints],
    now: Mapping[tuple[tuple[str, ...], str], Ints],
    silent: Mapping[str, str],
) -> SignalThenAndNow:
    before, after = then[ROOT, signal.name].sum(0), now[ROOT, signal.name].sum(0)
    return SignalThenAndNow(
        signal,
        tuple(before.tolist()),
        tuple(after.tolist()),
        effect_of(signal, before, after),
        silent.get(signal.name, ""),
    )


def _blind_spots(
    reference: Reference, now: Mapping[tuple[tuple[str, ...], str], Ints], plan: DriftPlan
) -> tuple[BlindSpot, ...]:
    """Of each armed signal at the root, at the volume of what is watched; of the reference's before anything is."""
    armed = {key: one.null for key, one in reference.armed(plan.arming).items() if one.null is not None}
    at_root = {name: null for (node, name), null in armed.items() if node == ROOT}
    if not at_root:
        return ()
    weight = node_weights({node for node, _ in armed})[ROOT] / len(at_root)
    spots: list[BlindSpot] = []
    for name, null in at_root.items():
        seen = now[ROOT, name]
        if not seen.any():
            seen = reference.tally.table(ROOT, reference.signal(name), reference.tally.slices)
        spots += blind_spots(
            name,
            null,
            studies_per_slice=float(seen.sum()) / len(seen),
            slices_per_week=max(1, round(WEEK_S / reference.slice_s)),
            log_limit=math.log(plan.arl_slices / weight),
        )
    return tuple(spots)
