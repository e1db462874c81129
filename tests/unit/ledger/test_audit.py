"""The audit chain."""

from __future__ import annotations

import sqlalchemy as sa

from ledger import Ledger
from ledger.tables import audit


def filled(ledger: Ledger) -> None:
    for number in range(4):
        ledger.audit.append("alice", "set-alias", "ich-triage", {"from": number, "to": number + 1})


def test_an_untouched_chain_is_whole(ledger: Ledger) -> None:
    filled(ledger)
    assert ledger.audit.first_broken() is None
    assert [row.sequence for row in ledger.audit.rows(limit=2)] == [4, 3]


def test_a_changed_row_is_found(ledger: Ledger) -> None:
    filled(ledger)
    with ledger.database.write() as connection:
        connection.execute(sa.update(audit).where(audit.c.sequence == 2).values(actor="mallory"))
    assert ledger.audit.first_broken() == 2


def test_a_row_that_was_taken_out_is_found(ledger: Ledger) -> None:
    filled(ledger)
    with ledger.database.write() as connection:
        connection.execute(sa.delete(audit).where(audit.c.sequence == 3))
    assert ledger.audit.first_broken() == 3
