"""A ledger of its own for each test, in a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import strategies as st

from core.retry import RetryPolicy
from ledger import Ledger

# what a pseudonym or a name may hold: no control character, which PostgreSQL does not store
PRINTABLE = st.characters(exclude_categories=("Cc", "Cs"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GIVES_UP_SOON = RetryPolicy(worker_losses=3)


class Clock:
    """The database's time as a test sets it."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def set_time(ledger: Ledger, at: datetime) -> None:
    """From now on it is `at` for this ledger."""
    cast(Clock, ledger.database._clock).at = at


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """Where the ledger of this test is; tests/integration/ledger puts a PostgreSQL here."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url, GIVES_UP_SOON, Clock())
    yield opened
    opened.close()
