"""MLflow's runs in memory, for who writes them: it may be away, refuse, or lose an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from core.errors import RegistryUnavailable
from registry.client import RegistryRefused
from registry.runs import Run, RunNews, RunStatus


class FakeRuns:
    """`calls` are the names of all requests; `points` are the metrics in the order in which they came."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.names: dict[str, str] = {}
        self.points: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self.calls: list[str] = []
        self.is_away = self.loses_answers = False
        self.refuses: set[str] = set()  # names of runs

    def experiment(self, name: str) -> str:
        self._called("experiment")
        return "7"

    def tagged(self, experiment: str, tag: str, value: str) -> tuple[Run, ...]:
        self._called("tagged")
        return tuple(run for run in self.runs.values() if run.tags.get(tag) == value)

    def create(self, experiment: str, name: str, tags: Mapping[str, str], began_at: datetime) -> Run:
        self._called("create")
        run = Run(f"run-{len(self.runs) + 1}", tags=dict(tags))
        self.runs[run.run_id], self.names[run.run_id] = run, name
        self._answered()
        return run

    def add(self, run_id: str, news: RunNews) -> None:
        self._called("add")
        if self.names[run_id] in self.refuses:
            raise RegistryRefused("MLflow refused the request as malformed")
        run = self.runs[run_id]
        self.runs[run_id] = replace(
            run,
            tags={**run.tags, **news.tags},
            params={**run.params, **news.params},
            metrics={**run.metrics, **news.metrics},
        )
        for name, value in news.metrics.items():
            self.points[name].append((news.step, value))
        self._answered()

    def end(self, run_id: str, status: RunStatus, at: datetime) -> None:
        self._called("end")
        self.runs[run_id] = replace(self.runs[run_id], status=status)
        self._answered()

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.is_away:
            raise RegistryUnavailable("MLflow does not answer")

    def _answered(self) -> None:
        if self.loses_answers:
            raise RegistryUnavailable("MLflow does not answer")
