"""The fuzzer in a process of its own, for a codec in C may crash: then its trace names what was being read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def fuzz_apart(cases: int, seed: int, folder: Path, *, timeout_s: float) -> dict[str, Any]:
    """What came of so many cases. Nothing but our own errors may have left the reader, and it must not have grown."""
    trace = folder / "case"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzzing"),
            *("--cases", str(cases), "--seed", str(seed), "--trace", str(trace)),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}, case {trace.read_text()}: {done.stderr[-2000:]}"
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert (outcome["cases"], outcome["escaped"]) == (cases, []), f"seed {seed}"
    assert outcome["grown_mib"] < 64
    return outcome
