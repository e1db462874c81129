"""What is to be told of rollouts, from one look to the next: taken from the looks, read by those who write to MLflow.

Each change puts a new mapping in the place of the old one, so that who reads waits for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from canary.rollout.seen import RolloutEvidence
from ledger import StoredRollout
from registry.runs import run_page
from serve_apps.control.pages import Key, RolloutPage
from serve_apps.control.rollout_told import (
    RUN_TAG,
    Told,
    Verdicts,
    metrics_of,
    run_name,
    told_of,
    verdicts_of,
)

WORDS: Final = timedelta(seconds=60)  # between two changes of nothing but the wording of a reason
LINK: Final = timedelta(seconds=15)  # for so long a page waits for the run that it is to name
RunKey = tuple[str, int]  # model, number of the run


@dataclass(frozen=True, slots=True)
class SeenRun:
    """One run as a look found it last, and the words about it. `experiment` and `run_id` are MLflow's, when known.

    `is_told`: the words are those of now, and none waits for its time.
    """

    stored: StoredRollout
    first_seen: datetime
    seen_at: datetime
    told: Told
    told_at: datetime
    evidence: RolloutEvidence | None = None
    is_told: bool = True
    verdicts: Verdicts | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    experiment: str = ""
    run_id: str = ""


class RolloutBoard:
    """Each run as a look has seen it last."""

    def __init__(self) -> None:
        self._seen_runs: Mapping[RunKey, SeenRun] = {}
        self._changing = Lock()
        self._has_looked = False

    def saw(self, stored: StoredRollout, evidence: RolloutEvidence | None, at: datetime) -> None:
        """A look found a rollout so. Without evidence the last verdicts stay."""
        with self._changing:
            before = self._seen_runs.get(stored.key)
            if before is not None and _is_known(before, stored, evidence):
                return
            self._put(_seen_run(before, stored, evidence, at))

    def looked(self) -> None:
        """A look is over: whoever writes pages knows all rollouts from now on."""
        self._has_looked = True

    def linked(self, key: RunKey, experiment: str, run_id: str) -> None:
        """The run of MLflow that tells of a rollout."""
        with self._changing:
            seen_run = self._seen_runs.get(key)
            if seen_run is not None:
                self._put(replace(seen_run, experiment=experiment, run_id=run_id))

    @property
    def seen_runs(self) -> tuple[SeenRun, ...]:
        """By model and run."""
        seen_runs = self._seen_runs
        return tuple(seen_runs[key] for key in sorted(seen_runs))

    def pages(self) -> Mapping[Key, RolloutPage] | None:
        """What pages say of the last run of each version; None before the first look."""
        if not self._has_looked:
            return None
        return {(one.stored.status.model, one.stored.status.candidate): _page(one) for one in self.seen_runs}

    def _put(self, seen_run: SeenRun) -> None:
        self._seen_runs = {**self._seen_runs, seen_run.stored.key: seen_run}


def _is_known(before: SeenRun, stored: StoredRollout, evidence: RolloutEvidence | None) -> bool:
    """Whether a look found again what it had found, and nothing about it waits for its time."""
    is_same = before.stored is stored and (evidence is None or before.evidence is evidence)
    return is_same and before.is_told and _has_waited(before)


def _seen_run(
    before: SeenRun | None, stored: StoredRollout, evidence: RolloutEvidence | None, at: datetime
) -> SeenRun:
    known = before.verdicts if before is not None else None
    fresh = verdicts_of(stored.plan, evidence) if evidence is not None else None
    verdicts = fresh if fresh is not None and (known is None or known.phases != fresh.phases) else known
    told = told_of(stored, verdicts)
    if before is None:
        drawn = metrics_of(stored.status, evidence)
        return SeenRun(stored, at, at, told, at, evidence, verdicts=verdicts, metrics=drawn)
    metrics = {**before.metrics, **metrics_of(stored.status, evidence)}
    is_new = told.place != before.told.place
    is_worded = told.shape != before.told.shape and at - before.told_at >= WORDS
    is_told = is_new or is_worded or told.shape == before.told.shape
    if not (is_new or is_worded):
        told = before.told
    return replace(
        before,
        stored=stored,
        seen_at=at,
        told=told,
        told_at=at if told is not before.told else before.told_at,
        evidence=evidence,
        is_told=is_told,
        verdicts=verdicts,
        metrics=metrics,
    )


def _page(seen_run: SeenRun) -> RolloutPage:
    status = seen_run.stored.status
    tags = dict(seen_run.told.tags)
    link = f"run {status.run}"
    if seen_run.run_id:
        tags[RUN_TAG] = f"{run_name(status)}: {seen_run.run_id}"
        link = f"[{link}]({run_page(seen_run.experiment, seen_run.run_id)})"
    is_settled = bool(seen_run.run_id) or _has_waited(seen_run)
    sentence = f"its rollout, {link}, is {seen_run.told.sentence}"
    return RolloutPage(tags, sentence, _of_model(seen_run), is_settled=is_settled)


def _has_waited(seen_run: SeenRun) -> bool:
    """Whether the page has waited long enough for the run in MLflow."""
    return seen_run.seen_at - seen_run.first_seen >= LINK


def _of_model(seen_run: SeenRun) -> str:
    """Of the model's page; an end stands on the version's."""
    status = seen_run.stored.status
    return (
        "" if status.has_ended else f"the rollout of version {status.candidate} is {seen_run.told.sentence}"
    )
