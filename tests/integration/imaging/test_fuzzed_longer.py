"""The fuzzer of the reader for longer than a unit test may take, each day with other damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[3]
CASES = 8000


def test_nothing_but_our_own_errors_leaves_the_reader_today_either(tmp_path: Path) -> None:
    seed = datetime.now(UTC).toordinal()
    case = tmp_path / "case"
    arguments = ["--cases", str(CASES), "--seed", str(seed), "--trace", str(case)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}, case {case.read_text()}: {done.stderr[-2000:]}"
    outcome = json.loads(done.stdout)
    assert (outcome["cases"], outcome["escaped"]) == (CASES, []), f"seed {seed}"
    assert outcome["grown_mib"] < 64
