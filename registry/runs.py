"""MLflow's runs, as little of them as telling a rollout needs: found by a tag, made, added to, and ended.

They go through the registry's own client, so its timeouts and its errors hold here, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from core.errors import UnknownModel
from registry.client import RegistryClient, RegistryRefused

NOTE_TAG: Final = "mlflow.note.content"  # what a run's page says on top
MOST_AT_ONCE: Final = 1000  # of MLflow: runs in a page, and metrics in a batch
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.: -]")
_LONGEST_NAME: Final = 100


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as MLflow has it. `metrics` are the last value of each."""

    run_id: str
    status: RunStatus = RunStatus.RUNNING
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunNews:
    """What is to be added to a run. `step` counts the metrics along their axis."""

    at: datetime
    step: int
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Runs:
    """Runs of one MLflow server. All raise RegistryUnavailable, and UnknownModel for a run that is gone."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def experiment(self, name: str) -> str:
        """The id of the experiment, which is made if it is not there, and restored if somebody deleted it."""
        found = self._experiment(name)
        if found is not None:
            return found
        try:
            return str(self._client.post("/experiments/create", {"name": name})["experiment_id"])
        except RegistryRefused:
            found = self._experiment(name)  # another process was quicker
            if found is None:
                raise
            return found

    def tagged(self, experiment: str, tag: str, value: str) -> tuple[Run, ...]:
        """The runs with this tag that nobody deleted, the oldest first. A value with a quote is never found."""
        asked: dict[str, Any] = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{tag}` = '{value}'",
            "max_results": MOST_AT_ONCE,
            "order_by": ["attributes.start_time ASC"],
        }
        return tuple(self._found(asked))

    def create(self, experiment: str, name: str, tags: Mapping[str, str], began_at: datetime) -> Run:
        """Make a run that goes on from now. A lost answer may leave one behind: look by its tag before another."""
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": _milliseconds(began_at),
            "tags": _pairs(tags),
        }
        return _run(self._client.post("/runs/create", body)["run"])

    def add(self, run_id: str, news: RunNews) -> None:
        """Add to a run in one request; metrics are finite numbers."""
        timestamp = _milliseconds(news.at)
        metrics = [
            {"key": key, "value": value, "timestamp": timestamp, "step": news.step}
            for key, value in news.metrics.items()
        ]
        body = {"run_id": run_id, "params": _pairs(news.params), "tags": _pairs(news.tags)}
        self._client.post("/runs/log-batch", body | {"metrics": metrics[:MOST_AT_ONCE]})

    def end(self, run_id: str, status: RunStatus, at: datetime) -> None:
        self._client.post(
            "/runs/update", {"run_id": run_id, "status": status.value, "end_time": _milliseconds(at)}
        )

    def _experiment(self, name: str) -> str | None:
        try:
            found = self._client.get("/experiments/get-by-name", {"experiment_name": name})["experiment"]
        except UnknownModel:
            return None
        experiment_id = str(found["experiment_id"])
        if found.get("lifecycle_stage") == "deleted":
            self._client.post("/experiments/restore", {"experiment_id": experiment_id})
        return experiment_id

    def _found(self, asked: Mapping[str, Any]) -> Iterator[Run]:
        token = ""
        while True:
            page = self._client.post("/runs/search", {**asked, "page_token": token} if token else asked)
            yield from (_run(entry) for entry in page.get("runs", []))
            token = page.get("next_page_token", "")
            if not token:
                return


def metric_name(name: str) -> str:
    """One part of a metric's name as MLflow takes it; `/` between parts makes a group on its page.

    >>> metric_name("missed bleeds, 5%")
    'missed bleeds_ 5_'
    """
    told = _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME]
    return told if told.strip(".") else "_"


def run_page(experiment: str, run_id: str) -> str:
    """Where the run lies on MLflow's pages, for a link on another of them."""
    return f"#/experiments/{experiment}/runs/{run_id}"


def version_page(model: str, version: str) -> str:
    """Where the version lies on MLflow's pages, for a link on another of them."""
    return f"#/models/{model}/versions/{version}"


def _run(entry: Mapping[str, Any]) -> Run:
    info, data = entry["info"], entry.get("data", {})
    return Run(
        run_id=info["run_id"],
        status=_status(info.get("status", "")),
        tags={one["key"]: one.get("value", "") for one in data.get("tags", [])},
        params={one["key"]: one.get("value", "") for one in data.get("params", [])},
        metrics={one["key"]: float(one["value"]) for one in data.get("metrics", [])},
    )


def _status(text: str) -> RunStatus:
    """MLflow also knows runs that are scheduled, which none of ours is."""
    return {status.value: status for status in RunStatus}.get(text, RunStatus.RUNNING)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
