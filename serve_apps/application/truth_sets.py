"""What people do with ground-truth sets: register, schedule, run, and look at the results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Final

from canary.truth_set import BadLine, SetLine, SetStudy, studies_of
from core.errors import InvalidField, ModelUnavailable, TruthSetInUse
from ledger import Ledger, StoredRollout, StoredRun, StoredSet
from observability.redaction import Pseudonymiser
from serve_apps.application.executors import run_in
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.truth import findings_of
from serve_apps.application.truth_set_runs import TruthSetRunner, live_versions

MOST_LINES: Final = 5000
DELETED: Final = "the ground-truth set is deleted"
MOST_RUNS: Final = 100  # that are told at once


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, and how right the version is on what it has read so far."""

    run: StoredRun
    result: Mapping[str, Any]


class TruthSetService:
    """`sources` are the ids of the places where studies may lie."""

    def __init__(
        self,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        keys: Pseudonymiser,
        executor: Executor,
        sources: Collection[str],
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._runner = TruthSetRunner(ledger, keys)
        self._executor = executor
        self._sources = frozenset(sources)

    async def register(
        self, name: str, model: str, lines: Sequence[SetLine], *, actor: str
    ) -> tuple[StoredSet, bool]:
        """Register the next version of a set; the same content as before is the version of then.

        Whether the studies are there is seen when they are read: what is not is told as unread. Raises InvalidField,
        which names the line and nothing of what stands in it, and as `RoutingSnapshot.table` does.
        """
        known = findings_of(self._snapshot(), model)
        studies = await run_in(self._executor, self._checked, lines, known)
        return await run_in(
            self._executor, self._ledger.truth_sets.register, name, model, studies, actor=actor
        )

    async def all(self) -> tuple[StoredSet, ...]:
        """The newest version of each set."""
        return await run_in(self._executor, self._ledger.truth_sets.newest)

    async def schedule(self, name: str, every_s: int | None, *, actor: str) -> StoredSet:
        """Have the set run by itself so often, or never. Raises TruthSetNotFound."""
        return await run_in(self._executor, self._ledger.truth_sets.schedule, name, every_s, actor=actor)

    async def run(self, name: str, *, actor: str) -> tuple[RunView, ...]:
        """Have each live version read the newest version of the set. Raises TruthSetNotFound, and ModelUnavailable
        while no version of the model is served.
        """
        of = await run_in(self._executor, self._ledger.truth_sets.get, name)
        live = live_versions(self._snapshot(), of.model)
        if not live:
            raise ModelUnavailable("no version of the model is served now")
        started = [await run_in(self._executor, self._runner.start, of, one, actor=actor) for one in live]
        ids = {run.id for run in started}
        return tuple(view for view in await self.results(name) if view.run.id in ids)

    async def delete(self, name: str, *, actor: str) -> StoredSet:
        """Forget the set and the studies that it names. A run under way ends with what was read; all results stay.

        Raises TruthSetNotFound, and TruthSetInUse while it is evidence of a rollout.
        """
        return await run_in(self._executor, self._delete, name, actor)

    async def results(self, name: str) -> tuple[RunView, ...]:
        """The newest runs of a set, of all versions, also of one that was deleted. Raises TruthSetNotFound."""
        return await run_in(self._executor, self._results, name)

    def _results(self, name: str) -> tuple[RunView, ...]:
        runs = self._ledger.truth_set_runs.of_set(name, MOST_RUNS)
        if not runs:
            self._ledger.truth_sets.get(name)
        return tuple(RunView(run, self._runner.result_of(run)) for run in runs)

    def _delete(self, name: str, actor: str) -> StoredSet:
        of = self._ledger.truth_sets.get(name)
        if any(name in _sets_of(one) for one in self._ledger.rollouts.of_model(of.model)):
            raise TruthSetInUse("a rollout that has not ended counts the set's studies as evidence")
        for run in self._ledger.truth_set_runs.open_runs(name):
            self._ledger.shadows.discard_batch(run.id, run.model, actor=actor, reason=DELETED)
            self._ledger.truth_set_runs.settle(run.id, self._runner.result_of(run))
        return self._ledger.truth_sets.delete(name, actor=actor)

    def _checked(self, lines: Sequence[SetLine], known: Collection[str]) -> tuple[SetStudy, ...]:
        named = [self._line(number, line, known) for number, line in enumerate(lines)]
        try:
            return studies_of(named)
        except BadLine as error:
            raise _bad(error.number, error.problem) from None

    def _line(self, number: int, line: SetLine, known: Collection[str]) -> SetLine:
        if line.study_source not in self._sources:
            raise _bad(number, "no source of that id is configured")
        finding = next(iter(known)) if not line.finding and len(known) == 1 else line.finding
        if finding not in known:
            raise _bad(number, "name one finding of the model, as its spec does: 1386000@SCT")
        return replace(line, finding=finding)


def _sets_of(stored: StoredRollout) -> set[str]:
    """The sets that are evidence of a rollout, as long as it has not ended."""
    if stored.status.has_ended:
        return set()
    return {name for metric in stored.plan.metrics for name in metric.truth_sets}


def _bad(number: int, problem: str) -> InvalidField:
    return InvalidField(f"line {number + 1}: {problem}", f"/lines/{number}")
