"""Traces as a view of the records: batches of them, decided upon, made into spans and sent to one sink.

A sink that is away holds up nobody: it begins again where it stopped, but for what has become too old meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from core.clock import now
from ledger import StoredRecord, TraceBatch
from observability.names import Stage
from observability.record import Outcome, StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from observability.traces.kept import Keeping, Why, is_discordant, why_kept
from observability.traces.mlflow import shown, shown_batch
from observability.traces.otlp import request_of
from observability.traces.sinks import BatchRefused, Sink, SinkAway
from observability.traces.spans import Form, KeptTrace, Span, batches_of, spans_of

logger = logging.getLogger("serinus.traces")
PATIENCE: Final = timedelta(days=1)
BATCH_SIZE: Final = 100  # records; about a thousand spans


class Feed(Protocol):
    """`ledger.traces`. All raise LedgerUnavailable."""

    def next(self, sink: str, limit: int) -> TraceBatch | None: ...
    def took(self, sink: str, last: int) -> None: ...
    def pass_by(self, sink: str, before: datetime) -> int: ...


class TraceExport:
    """Sends to one sink what it has not taken yet. Traces that are older than `PATIENCE` are given up."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        form: Form,
        feed: Feed,
        keys: Pseudonymiser,
        share: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._name = name
        self._sink = sink
        self._form = form
        self._feed = feed
        self._keys = keys
        self._share = share
        self._clock = clock
        self._is_away = False

    def look(self) -> None:
        """Send everything that is there. Raises LedgerUnavailable."""
        passed_by = self._feed.pass_by(self._name, self._clock() - PATIENCE)
        if passed_by:
            logger.warning("traces.passed_by", extra={"sink": self._name, "records": passed_by})
        while (batch := self._feed.next(self._name, BATCH_SIZE)) is not None:
            try:
                self._send(list(kept_of(batch, self._keys, self._share)))
            except SinkAway as error:
                self._note(is_away=True, reason=str(error))
                return
            self._feed.took(self._name, batch.last)
            self._note(is_away=False)

    def _send(self, kept: Sequence[KeptTrace]) -> None:
        """A batch that is refused is halved, until it is one trace that will never be taken: it holds up no other."""
        if not kept:
            return
        try:
            self._sink.send(request_of(told_of(kept, self._form)))
        except BatchRefused as error:
            if len(kept) == 1:
                lost = {"sink": self._name, "trace": kept[0].trace.trace_id, "reason": str(error)}
                logger.warning("traces.refused", extra=lost)
                return
            half = len(kept) // 2
            self._send(kept[:half])
            self._send(kept[half:])

    def _note(self, *, is_away: bool, reason: str = "") -> None:
        if is_away and not self._is_away:
            logger.warning("traces.sink_away", extra={"sink": self._name, "reason": reason})
        if self._is_away and not is_away:
            logger.info("traces.sink_back", extra={"sink": self._name})
        self._is_away = is_away


def kept_of(batch: TraceBatch, keys: Pseudonymiser, share: float) -> Iterator[KeptTrace]:
    """The traces of a batch that are kept, and those of live readings that a silent one of the batch contradicts."""
    for record in batch.records:
        trace = record.trace
        live = batch.live.get(trace.job_id or "") if not trace.is_live else None
        why = why_kept(trace, Keeping(share, batch.slow_s[record.seq]))
        if live is not None and is_discordant(trace.answer, live.trace.answer):
            why = why if why is Why.FAILED else Why.DISCORDANT
            if why_kept(live.trace, Keeping(share, batch.slow_s[live.seq])) is None:
                yield _kept(live, Why.DISCORDANT, keys)
        if why is not None:
            yield _kept(record, why, keys, live)


def told_of(kept: Sequence[KeptTrace], form: Form) -> Iterator[Span]:
    """All spans of some traces, as a sink of this form is told them."""
    is_mlflow = form is Form.OWN_ROOT
    for one in kept:
        root, *children = spans_of(one, form)
        yield shown(one, root) if is_mlflow else root
        yield from children
    for batch in batches_of(kept, form):
        yield shown_batch(batch) if is_mlflow else batch


def _kept(record: StoredRecord, why: Why, keys: Pseudonymiser, live: StoredRecord | None = None) -> KeptTrace:
    began = datetime.fromtimestamp(record.trace.start_ns / 1e9, UTC)
    name = keys.of_period(record.trace.study_key, f"{began:%Y-%m}")
    return KeptTrace(with_writing(record), why, name, live.trace if live else None)


def with_writing(record: StoredRecord) -> StudyTrace:
    """The trace of a study with the writing of its result until `at`, by the ledger's clock."""
    trace, written_ns = record.trace, int(record.at.timestamp() * 1e9)
    if not trace.is_live or trace.outcome is not Outcome.OK or written_ns <= trace.end_ns:
        return trace
    writing = StageTiming(Stage.STORE, trace.end_ns, written_ns)
    return replace(trace, stages=(*trace.stages, writing), end_ns=written_ns)
