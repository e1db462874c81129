"""From the ledger to a rollout's evidence: only what is new is taken in, and what it made is kept after each look.

Each metric is a state and a place in the order of its rows, written together. A look goes on from there; where the
rows up to that place are no longer the same, as after a truth was withdrawn, it takes all anew. So the states are at
any time those that one computation from nothing gives, to the last bit, whoever looked when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from canary.evidence.metric import MetricKind, MetricSpec, MetricState, unread
from canary.evidence.metric_state import start
from canary.evidence.storage import from_json, to_json
from canary.rollout.evidence_told import metrics_seen
from canary.rollout.plan import RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import RolloutStatus
from canary.routing_table import BASIS_POINTS, CANARY
from canary.sample_ratio import SampleRatio, judge_ratio
from ledger import Ledger
from ledger.paired_feed import Versions
from ledger.rollout_evidence import KeptEvidence
from ledger.rollout_feed import AnsweredStudy, Place
from ledger.tables import EPOCH, microseconds
from serve_apps.application.evidence_intake import Intake
from serve_apps.application.evidence_rows import OF_DRAWS, assigned_studies
from serve_apps.application.paired_evidence import OF_PAIRS, PairedEvidence

SPLIT, ANSWERS, ESCALATIONS = (
    "/split",
    "/answers",
    "/escalations",
)  # kept beside the metrics, which they are not
END: Final = datetime.max.replace(tzinfo=UTC)
MOST_EVENTS: Final = 10_000
Json = Mapping[str, Any]


class GatheredEvidence:
    """An `EvidencePort` over the ledger. `concordant_share` is the adjudication queue's."""

    def __init__(self, ledger: Ledger, concordant_share: float) -> None:
        self._ledger = ledger
        self._share = concordant_share

    def of(self, status: RolloutStatus, plan: RolloutPlan) -> RolloutEvidence:
        """Take in what is new, keep it, and tell what follows."""
        self._ledger.pairs.collect(status.model, self._share)
        look = _look_at(self._ledger, status, plan)
        evidence = look.taken()
        self._ledger.rollout_evidence.keep(status.model, status.run, look.changed)
        return evidence


class ReadEvidence:
    """An `EvidencePort` for whoever shows a rollout: it tells what `GatheredEvidence` would, and writes nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, status: RolloutStatus, plan: RolloutPlan) -> RolloutEvidence:
        """What follows from the pairs that were collected."""
        return _look_at(self._ledger, status, plan).taken()


def taken_from_nothing(
    ledger: Ledger, status: RolloutStatus, plan: RolloutPlan, intake: Intake, *, until: datetime = END
) -> RolloutEvidence:
    """What all rows of a run say that came before `until`, taken in by `intake` one after the other; writes nothing.

    Pairs and truths know no end: what became known of them later is taken in, too.
    """
    return _Look(ledger, status, plan, {}, intake, until).taken()


def _look_at(ledger: Ledger, status: RolloutStatus, plan: RolloutPlan) -> _Look:
    return _Look(ledger, status, plan, ledger.rollout_evidence.of_run(status.model, status.run))


@dataclass(slots=True)
class _Look:
    """One look at one run. `changed` is what there is to keep: state and cursor by name."""

    ledger: Ledger
    status: RolloutStatus
    plan: RolloutPlan
    kept: Mapping[str, KeptEvidence]
    intake: Intake = field(default_factory=Intake)
    until: datetime = END
    changed: dict[str, tuple[Json, Json]] = field(default_factory=dict)

    def taken(self) -> RolloutEvidence:
        settled = min(self.until, self.ledger.rollout_feed.settled_before())
        states, split = self._draws(settled)
        exposed, by_step = self._answers(settled)
        without = {one.name: why for one in self.plan.metrics if (why := unread(one)) is not None}
        return RolloutEvidence(
            run=self.status.run,
            metrics=metrics_seen(self.plan.metrics, states | self._pairs(), without),
            exposed_studies=exposed,
            adverse_events=self._adverse(),
            studies_by_step=by_step,
            sample_ratio=judge_ratio(split.values()).verdict,
            observed_share=_share_of(split.get(CANARY)),
        )

    # ---- what is drawn, in the order of (at, identity)

    def _draws(self, settled: datetime) -> tuple[dict[str, MetricState], Mapping[str, SampleRatio]]:
        """The metrics of the canary's split, and the split itself, which stand at one place."""
        specs = self._of_kinds(OF_DRAWS)
        cursor = self._common_cursor([*(spec.name for spec in specs), SPLIT])
        states = self._states(specs, anew=cursor is None)
        split: Mapping[str, SampleRatio] = {} if cursor is None else split_from_json(self.kept[SPLIT].state)
        drawn = self.ledger.rollout_feed.draws(self.status.model, self._place(cursor), settled)
        if not drawn:
            return states, split
        versions = {"candidate": self.status.candidate, "stable": self.status.stable}
        studies = tuple(assigned_studies(drawn, **versions))
        states = {spec.name: self.intake.metric(spec, states[spec.name], studies) for spec in specs}
        split = self.intake.split(split, ((one.arm, one.weights_bp) for one in drawn))
        place = _place_to_json(drawn[-1].place)
        self._keep(states, place)
        self.changed[SPLIT] = _split_to_json(split), place
        return states, split

    # ---- pairs and truths, in the order in which they became known

    def _pairs(self) -> dict[str, MetricState]:
        status = self.status
        versions = Versions(status.model, status.stable, status.candidate)
        ledger = self.ledger
        evidence = PairedEvidence(
            ledger.paired_feed, ledger.set_pairs, versions, status.began_at, self.intake
        )
        readable = [spec for spec in self._of_kinds(OF_PAIRS) if unread(spec) is None]
        taken = evidence.taken(readable, self.kept)
        for name, one in taken.items():
            if one.cursor is not None:
                self._keep({name: one.state}, one.cursor)
        return {name: one.state for name, one in taken.items()}

    # ---- what it cost patients

    def _answers(self, settled: datetime) -> tuple[int, dict[int, int]]:
        """Exposed studies, and studies by step. What is not settled counts, too, and is not kept."""
        cursor = self._common_cursor([ANSWERS])
        counted = _Answers() if cursor is None else _Answers.from_json(self.kept[ANSWERS].state)
        new = self.ledger.rollout_feed.answers(
            self.status.model, self.status.candidate, self._place(cursor), self.until
        )
        if not new:
            return counted.exposed, counted.by_step
        steps = self._steps()
        old = [study for study in new if study.place.at < settled]
        if old:
            counted = counted.and_(old, steps)
            self.changed[ANSWERS] = counted.to_json(), _place_to_json(old[-1].place)
        counted = counted.and_(new[len(old) :], steps)
        return counted.exposed, counted.by_step

    def _steps(self) -> list[tuple[datetime, int]]:
        """Since when which step was under way, oldest first."""
        events = self.ledger.rollouts.events(self.status.model, self.status.run, MOST_EVENTS)
        return [(event.at, event.after.step) for event in reversed(events)]

    def _adverse(self) -> int:
        """Studies that the candidate failed, or answered while another version says something critical else."""
        model, candidate, since = self.status.model, self.status.candidate, self.status.began_at
        cursor = self._common_cursor([ESCALATIONS])
        before, after = (
            (0, 0) if cursor is None else (self.kept[ESCALATIONS].state["studies"], cursor["sequence"])
        )
        new, last = self.ledger.rollout_feed.escalated(model, candidate, after, since, self.until)
        if last != after:
            self.changed[ESCALATIONS] = {"studies": before + new}, {"sequence": last}
        return before + new + self.ledger.rollout_feed.failures(model, candidate, since, self.until)

    # ---- what is kept

    def _of_kinds(self, kinds: frozenset[MetricKind]) -> tuple[MetricSpec, ...]:
        return tuple(spec for spec in self.plan.metrics if spec.kind in kinds)

    def _common_cursor(self, names: Sequence[str]) -> Json | None:
        """Where all of them stand; None if one of them has not begun, or stands elsewhere: then all begin anew."""
        cursors = [self.kept[name].cursor if name in self.kept else None for name in names]
        return cursors[0] if cursors and all(one == cursors[0] for one in cursors) else None

    def _states(self, specs: Iterable[MetricSpec], *, anew: bool) -> dict[str, MetricState]:
        return {
            spec.name: start(spec) if anew else from_json(dict(self.kept[spec.name].state)) for spec in specs
        }

    def _keep(self, states: Mapping[str, MetricState], cursor: Json) -> None:
        self.changed.update({name: (to_json(state), cursor) for name, state in states.items()})

    def _place(self, cursor: Json | None) -> Place:
        if cursor is None:
            return Place(self.status.began_at, "")
        return Place(EPOCH + timedelta(microseconds=cursor["at"]), cursor["key"])


@dataclass(frozen=True, slots=True)
class _Answers:
    """Studies that the candidate answered: below a weight of 100 %, and by the step that was under way."""

    exposed: int = 0
    by_step: dict[int, int] = field(default_factory=dict)

    def and_(self, studies: Iterable[AnsweredStudy], steps: Sequence[tuple[datetime, int]]) -> _Answers:
        exposed, by_step = self.exposed, dict(self.by_step)
        for study in studies:
            exposed += study.weight_bp < BASIS_POINTS
            step = next((number for at, number in reversed(steps) if at <= study.place.at), 0)
            by_step[step] = by_step.get(step, 0) + 1
        return _Answers(exposed, by_step)

    def to_json(self) -> Json:
        return {"exposed": self.exposed, "by_step": sorted(map(list, self.by_step.items()))}

    @classmethod
    def from_json(cls, document: Json) -> _Answers:
        return cls(document["exposed"], dict(map(tuple, document["by_step"])))


def _share_of(canary: SampleRatio | None) -> float | None:
    return canary.chosen / canary.exposures if canary is not None and canary.exposures else None


def _place_to_json(place: Place) -> Json:
    return {"at": microseconds(place.at), "key": place.key}


def _split_to_json(split: Mapping[str, SampleRatio]) -> Json:
    """As texts, since a study that went where its weight allows none is infinite evidence, which JSON has not."""
    return {
        arm: {"log_e": [repr(one) for one in ratio.log_e], "drawn": [ratio.exposures, ratio.chosen]}
        for arm, ratio in split.items()
    }


def split_from_json(document: Json) -> dict[str, SampleRatio]:
    return {arm: SampleRatio(tuple(map(float, one["log_e"])), *one["drawn"]) for arm, one in document.items()}
