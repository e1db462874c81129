"""The fuzzer of the reader for longer than a unit test may take, each day with other damage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.fuzzing.apart import fuzz_apart

CASES = 8000


def test_nothing_but_our_own_errors_leaves_the_reader_today_either(tmp_path: Path) -> None:
    fuzz_apart(CASES, datetime.now(UTC).toordinal(), tmp_path, timeout_s=500)
