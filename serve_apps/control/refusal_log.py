"""Puts into the audit which version may not answer or load, and why: once per reason, also across restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ledger import Ledger

ACTION = "version-refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    model: str
    version: str
    reason: str


class RefusalLog:
    """Remembers what it wrote; what an earlier process wrote it finds in the audit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._written: dict[tuple[str, str], str] = {}

    def note(self, refusals: Iterable[Refusal]) -> None:
        """Write those that are new or have another reason now."""
        for refusal in refusals:
            key = (refusal.model, refusal.version)
            if self._written.get(key) != refusal.reason:
                self._write(refusal)
                self._written[key] = refusal.reason

    def _write(self, refusal: Refusal) -> None:
        subject = f"{refusal.model}/{refusal.version}"
        last = next((r for r in self._ledger.audit.rows(subject=subject) if r.action == ACTION), None)
        if last is None or last.detail["reason"] != refusal.reason:
            detail = {"reason": refusal.reason}
            self._ledger.audit.append("controller", ACTION, subject, detail)
