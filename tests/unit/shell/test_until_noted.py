"""What was done is written as soon as the ledger answers."""

from __future__ import annotations

import pytest

from core.errors import LedgerUnavailable
from ledger import LeaseLost
from serve_apps.application.until_noted import until_noted


async def test_a_note_is_repeated_while_the_ledger_is_away() -> None:
    answers = iter([LedgerUnavailable("away"), LedgerUnavailable("away"), None])

    async def note() -> None:
        if error := next(answers):
            raise error

    await until_noted(0.0, note)
    assert next(answers, "all were asked for") == "all were asked for"


async def test_a_lease_that_was_lost_meanwhile_ends_it() -> None:
    async def note() -> None:
        raise LeaseLost("somebody else has it")

    with pytest.raises(LeaseLost):
        await until_noted(0.0, note)
