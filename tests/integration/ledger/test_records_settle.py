"""On PostgreSQL a record's number is given before its row can be seen: no fold passes by one that comes later."""

from __future__ import annotations

from datetime import timedelta

from ledger import Ledger
from ledger.study_records import SETTLED, append_record
from observability.metrics.instruments import STUDIES
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.observability.metrics.test_exposition import LIVE


def test_a_row_that_was_written_first_and_seen_last_is_counted(ledger: Ledger) -> None:
    with ledger.database.write() as slow:
        append_record(slow, LIVE, ledger.database.now(slow))
        ledger.study_records.add(LIVE)  # the number after, seen at once
        assert not ledger.metrics.fold(1.0), "the slow one may still come"
    set_time(ledger, NOON + SETTLED + timedelta(seconds=1))
    assert ledger.metrics.fold(1.0)
    assert ledger.metrics.all()[STUDIES.name, ("ich-triage", "CT", "ok", "")].total == 2
