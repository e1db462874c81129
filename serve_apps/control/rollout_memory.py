"""What a look need not ask the ledger again: evidence for which nothing new has come, and approvals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from canary.rollout.seen import Approval, RolloutEvidence
from ledger import StoredRollout
from ledger.rollout_marks import Mark
from serve_apps.application.evidence_port import EvidencePort


@dataclass(frozen=True, slots=True)
class _Known:
    mark: Mark
    evidence: RolloutEvidence | None


class RolloutMemory:
    """Remembers by run. `marks` reads how the ledger stands, once for each look; `approvals` those of a run."""

    def __init__(
        self,
        evidence: EvidencePort,
        marks: Callable[[], Mapping[str, Mark]],
        approvals: Callable[[str, int], tuple[Approval, ...]],
    ) -> None:
        self._evidence = evidence
        self._read_marks = marks
        self._read_approvals = approvals
        self._marks: Mapping[str, Mark] = {}
        self._known: dict[tuple[str, int], _Known] = {}
        self._approved: dict[tuple[str, int], tuple[int, tuple[Approval, ...]]] = {}

    def begin_look(self) -> None:
        """See how the ledger stands now. Raises LedgerUnavailable; then no evidence is remembered."""
        self._marks = {}
        self._marks = self._read_marks()

    def evidence(self, stored: StoredRollout) -> RolloutEvidence | None:
        """What is known of the run's metrics. Raises what the port raises."""
        mark, known = self._marks.get(stored.status.model), self._known.get(stored.key)
        if mark is not None and mark.is_settled and known is not None and known.mark == mark:
            return known.evidence
        found = self._evidence.of(stored.status, stored.plan)
        if mark is not None and found is not None:
            self._known[stored.key] = _Known(mark, found)
        return found

    def approvals(self, stored: StoredRollout) -> tuple[Approval, ...]:
        """Those of the run. An approval comes with a new revision. Raises LedgerUnavailable."""
        revision, approvals = self._approved.get(stored.key, (0, ()))
        if revision != stored.revision:
            approvals = self._read_approvals(*stored.key)
            self._approved[stored.key] = stored.revision, approvals
        return approvals
