"""A ledger of its own for each test, in a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import strategies as st

from ledger import Ledger

# what a pseudonym or a name may hold: no control character, which PostgreSQL does not store
PRINTABLE = st.characters(exclude_categories=("Cc", "Cs"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """Where the ledger of this test is; tests/integration/ledger puts a PostgreSQL here."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(ledger_url, max_attempts=3)
    yield opened
    opened.close()
