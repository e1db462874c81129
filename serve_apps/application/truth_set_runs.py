"""Runs a ground-truth set against versions: each of its studies is read in silence, and the result is worked out.

Used by the API, where a person starts a run, and by the controller, which starts what is due.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from canary.assignment import StudyFacts
from canary.decision_inputs import facts_text
from canary.disclosure import Role
from canary.explain import DecisionRow
from canary.observation import CHALLENGER
from canary.routing_table import RoutingTable, Variant
from canary.truth_set import FindingScore, Proportion, SetStudy, due_versions, score
from core.codec import to_plain
from core.study import StudyRef
from ledger import Ledger, ShadowTask, StoredRun, StoredSet
from observability.redaction import Pseudonymiser
from serve_apps.application.messages import ServedVersion
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.truth_sets")
BATCH_SIZE: Final = 100  # a transaction of many rows would keep callers waiting
NOBODY: Final[Mapping[str, Any]] = {"version": "", "findings": [], "measurements": []}


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """A version that is to be held against a set: how it is asked, and what it is."""

    variant: Variant
    served: ServedVersion


def live_versions(snapshot: RoutingSnapshot, model: str) -> tuple[LiveVersion, ...]:
    """The champion, the challenger and the arms of an A/B test, each version once, as far as they are served."""
    table = snapshot.tables.get(model)
    by_version: dict[str, LiveVersion] = {}
    for variant in () if table is None else _asked(table):
        served = snapshot.endpoints.get(variant.app)
        if served is not None:
            by_version.setdefault(variant.version, LiveVersion(variant, served))
    return tuple(by_version.values())


def _asked(table: RoutingTable) -> tuple[Variant, ...]:
    challengers = (shadow.variant for shadow in table.shadows if shadow.variant.name == CHALLENGER)
    return (*table.answering.values(), *challengers)


class TruthSetRunner:
    """Starts runs and keeps their results. Level-triggered: to be called again and again does no harm."""

    def __init__(self, ledger: Ledger, keys: Pseudonymiser) -> None:
        self._ledger = ledger
        self._keys = keys

    def start(self, of: StoredSet, live: LiveVersion, *, actor: str) -> StoredRun:
        """Have the version read the set; a run that is under way is gone on with, and given."""
        runs = self._ledger.truth_set_runs
        run, is_new = runs.begin(of, live.variant.version, live.served.digest, actor=actor)
        if is_new or run.counts.waiting + run.counts.done + sum(run.counts.failed.values()) < run.studies:
            self._ask(run, live)
        return run

    def start_due(self, snapshot: RoutingSnapshot, at: datetime, *, actor: str) -> tuple[StoredRun, ...]:
        """Start what is due by the sets' schedules: of each live version that never read the set, or not for long."""
        started: list[StoredRun] = []
        for of in self._ledger.truth_sets.newest():
            if of.every_s is None:
                continue
            live = {one.variant.version: one for one in live_versions(snapshot, of.model)}
            last = {version: moment.timestamp() for version, moment in self._last_begun(of).items()}
            due = due_versions(live, last, of.every_s, at.timestamp())
            started.extend(self.start(of, live[version], actor=actor) for version in due)
        return tuple(started)

    def look(self, snapshot: RoutingSnapshot, at: datetime, *, actor: str) -> None:
        """Keep the results of runs that ended, and start what is due; what was missed is made up for by the next."""
        settled = self.settle()
        started = self.start_due(snapshot, at, actor=actor)
        if settled or started:
            logger.info("truth_sets.looked", extra={"settled": settled, "started": len(started)})

    def settle(self) -> int:
        """Keep the result of each run whose studies have all ended; returns how many."""
        settled = 0
        for of in self._ledger.truth_sets.newest():
            for run in self._ledger.truth_set_runs.open_runs(of.name):
                if run.is_read:
                    self._ledger.truth_set_runs.settle(run.id, self.result_of(run))
                    settled += 1
        return settled

    def result_of(self, run: StoredRun) -> Mapping[str, Any]:
        """How right the version was so far, as JSON. A result that was kept is given as it is."""
        if run.result is not None:
            return run.result
        studies = self._ledger.truth_sets.studies(run.name, run.set_version)
        return {
            "findings": [score_json(one) for one in score(studies, self._ledger.truth_set_runs.told(run))]
        }

    def _last_begun(self, of: StoredSet) -> Mapping[str, datetime]:
        return self._ledger.truth_set_runs.last_begun(of)

    def _ask(self, run: StoredRun, live: LiveVersion) -> None:
        studies = self._ledger.truth_sets.studies(run.name, run.set_version)
        for start in range(0, len(studies), BATCH_SIZE):
            tasks = []
            for study in studies[start : start + BATCH_SIZE]:
                study_key = self._keys.study(study.study_uid)
                tasks.append((study.number, study_key, set_task(run, study, study_key, live)))
            self._ledger.truth_set_runs.add(run.id, tasks)


def set_task(run: StoredRun, study: SetStudy, study_key: str, live: LiveVersion) -> ShadowTask:
    """The version's reading of one study, by its own rule as if it were the champion; there is nothing to compare."""
    variant = live.variant
    decision = DecisionRow(
        identity=f"study:{study_key}",
        model=run.model,
        generation=0,
        assignment_reason=Role.GROUND_TRUTH.value,
        arm=variant.name,
        variant=variant.name,
        version=variant.version,
        digest=live.served.digest,
        role=Role.GROUND_TRUTH.value,
        outcome="due",
        reason=f"it is part of the ground-truth set {run.name}, version {run.set_version}",
        facts=facts_text(StudyFacts(study_key)),
    )
    series = (study.series_uid,) if study.series_uid else ()
    return ShadowTask(
        model=run.model,
        version=variant.version,
        app=variant.app,
        variant=variant.name,
        role=Role.GROUND_TRUTH.value,
        study=StudyRef(study.study_source, study.study_uid, series),
        decision=decision,
        delivered=NOBODY,
        rule=to_plain(live.served.spec.input.series),
        batch=run.id,
    )


def score_json(one: FindingScore) -> Mapping[str, Any]:
    return {
        "finding": one.finding,
        "sensitivity": _proportion(one.sensitivity),
        "specificity": _proportion(one.specificity),
        "failed": one.failed,
        "unread": one.unread,
    }


def _proportion(one: Proportion) -> Mapping[str, Any]:
    return {
        "right": one.right,
        "number": one.number,
        "share": one.share,
        "low": one.low,
        "high": one.high,
    }
