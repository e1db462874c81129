"""Has MLflow draw each rollout: a run of its own with the evidence over time, made, caught up and ended.

Level-triggered, beside the looks: what a run says is compared with what the board says. Nobody waits for it; what
MLflow did not take is written later, and a controller that begins finds the runs of its site by a tag.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from core.errors import RegistryUnavailable, UnknownModel
from ledger import StoredRollout
from registry.client import RegistryRefused
from registry.runs import NOTE_TAG, Run, RunNews, RunStatus, version_page
from serve_apps.control.rollout_board import RolloutBoard, SeenRun
from serve_apps.control.rollout_told import (
    end_of,
    identity_of,
    params_of,
    run_name,
    seconds_between,
)

logger = logging.getLogger("serinus.rollout_runs")
EXPERIMENT: Final = "serinus-rollouts"
SITE_TAG: Final = "serinus.site"
ROLLOUT_TAG: Final = "serinus.rollout"  # which rollout of the site
MODEL_TAG: Final = "serinus.model"
NUMBER_TAG: Final = "serinus.run"
METRICS_S: Final = 10.0  # between two points of a curve
AGAIN_S: Final = 5.0  # after MLflow did not answer
REFUSED_S: Final = 60.0  # after it would not do it


class RunStore(Protocol):
    """MLflow's runs; all raise RegistryUnavailable, and UnknownModel for a run that is gone."""

    def experiment(self, name: str) -> str: ...
    def tagged(self, experiment: str, tag: str, value: str) -> tuple[Run, ...]: ...
    def create(self, experiment: str, name: str, tags: Mapping[str, str], began_at: datetime) -> Run: ...
    def add(self, run_id: str, news: RunNews) -> None: ...
    def end(self, run_id: str, status: RunStatus, at: datetime) -> None: ...


@dataclass(slots=True)
class _Written:
    """What a run in MLflow says, as far as is known."""

    run_id: str
    status: RunStatus
    tags: dict[str, str]
    params: Mapping[str, str]
    metrics: dict[str, float]
    metrics_at: float = field(default=float("-inf"))


@dataclass(frozen=True, slots=True)
class _Known:
    """The runs of this site, by the rollout that each tells of."""

    experiment: str
    runs: dict[str, _Written]


class RolloutRuns:
    """Writes what differs. `site` tells this site from others that share the MLflow."""

    def __init__(
        self,
        store: RunStore,
        board: RolloutBoard,
        kept: Callable[[str, int], StoredRollout | None],
        site: str,
        leads: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kept` is a run as the ledger has it; `leads` whether this controller does, which may raise."""
        self._store = store
        self._board = board
        self._kept = kept
        self._site = site
        self._leads = leads
        self._monotonic = monotonic
        self._known: _Known | None = None
        self._again_at = 0.0
        self._refused: dict[str, float] = {}  # when a rollout of which MLflow takes nothing is tried again

    def write(self) -> None:
        """Write what differs now. Raises RegistryUnavailable, and LedgerUnavailable where it is to ask who leads."""
        seen_runs = self._board.seen_runs
        if not seen_runs or self._monotonic() < self._again_at:
            return
        if not self._leads():
            self._known = None  # whoever leads writes meanwhile
            return
        try:
            known = self._known or self._look_up()
            for seen_run in seen_runs:
                self._guarded(known, seen_run)
        except RegistryUnavailable:
            self._known = None  # a write whose answer was lost may have been done
            self._again_at = self._monotonic() + AGAIN_S
            raise

    def _look_up(self) -> _Known:
        """The site's runs as MLflow has them, the oldest of each rollout; what ended unseen is ended there, too."""
        experiment = self._store.experiment(EXPERIMENT)
        runs: dict[str, _Written] = {}
        for run in self._store.tagged(experiment, SITE_TAG, self._site):
            runs.setdefault(run.tags.get(ROLLOUT_TAG, ""), _written(run))
        self._known = _Known(experiment, runs)
        self._end_former(runs)
        return self._known

    def _end_former(self, runs: Mapping[str, _Written]) -> None:
        """A rollout that was retried while nobody wrote has a later run, and no look sees it any more."""
        on_board = {identity_of(one.stored.status) for one in self._board.seen_runs}
        for identity, run in runs.items():
            number = run.tags.get(NUMBER_TAG, "")
            if run.status is not RunStatus.RUNNING or identity in on_board or not number.isdecimal():
                continue
            stored = self._kept(run.tags.get(MODEL_TAG, ""), int(number))
            if stored is not None and stored.status.has_ended and identity_of(stored.status) == identity:
                self._board.saw(stored, None, stored.status.progressed_at)

    def _guarded(self, known: _Known, seen_run: SeenRun) -> None:
        """What MLflow refuses for one rollout holds up no other."""
        identity = identity_of(seen_run.stored.status)
        if self._monotonic() < self._refused.get(identity, 0.0):
            return
        try:
            self._bring(known, seen_run, identity)
        except (RegistryRefused, UnknownModel) as error:
            known.runs.pop(identity, None)
            self._known = None
            self._refused[identity] = self._monotonic() + REFUSED_S
            logger.warning("rollout_runs.refused", extra={"error": error.code})

    def _bring(self, known: _Known, seen_run: SeenRun, identity: str) -> None:
        """Have the run say what the board says."""
        written = known.runs.get(identity)
        if written is None:
            written = known.runs[identity] = self._begun(known.experiment, seen_run, identity)
        self._board.linked(seen_run.stored.key, known.experiment, written.run_id)
        if written.status is not RunStatus.RUNNING:
            return
        end = end_of(seen_run.stored.status)
        news = self._news(written, seen_run, is_last=end is not None)
        if news is not None:
            self._store.add(written.run_id, news)
            written.tags |= news.tags
            written.params = {**written.params, **news.params}
        if news is not None and news.metrics:
            written.metrics |= news.metrics
            written.metrics_at = self._monotonic()
        if end is not None:
            self._store.end(written.run_id, end, seen_run.seen_at)
            written.status = end

    def _begun(self, experiment: str, seen_run: SeenRun, identity: str) -> _Written:
        status = seen_run.stored.status
        tags = {
            SITE_TAG: self._site,
            ROLLOUT_TAG: identity,
            MODEL_TAG: status.model,
            NUMBER_TAG: str(status.run),
            NOTE_TAG: _note(seen_run),
        }
        run = self._store.create(experiment, run_name(status), tags, status.began_at)
        logger.info("rollout_runs.begun", extra={"model": status.model, "run": status.run})
        return _written(run)

    def _news(self, written: _Written, seen_run: SeenRun, *, is_last: bool) -> RunNews | None:
        """What the run does not say yet; metrics only now and then."""
        params = params_of(seen_run.stored)
        tags = {key: text for key, text in seen_run.told.tags.items() if written.tags.get(key) != text}
        metrics = {k: value for k, value in seen_run.metrics.items() if written.metrics.get(k) != value}
        if not is_last and self._monotonic() - written.metrics_at < METRICS_S:
            metrics = {}
        lacking = {key: text for key, text in params.items() if key not in written.params}
        if not (tags or metrics or lacking):
            return None
        step = seconds_between(seen_run.stored.status.began_at, seen_run.seen_at)
        return RunNews(seen_run.seen_at, step, tags, lacking, metrics)


def _written(run: Run) -> _Written:
    return _Written(run.run_id, run.status, dict(run.tags), run.params, dict(run.metrics))


def _note(seen_run: SeenRun) -> str:
    """The head of the run's page, with the way to its version."""
    status = seen_run.stored.status
    link = f"[version {status.candidate} of {status.model}]({version_page(status.model, status.candidate)})"
    return (
        f"{link} against version {status.stable}, run {status.run}: declared as {seen_run.stored.plan.name}."
    )
