"""Damaged objects of every transfer syntax: what leaves the reader is a study, or an error of ours with a code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzzing.__main__ import fuzz
from tests.fuzzing.mutate import Mutator

ROOT = Path(__file__).parents[3]
SYNTAXES = 13
CASES = 1500


def test_nothing_but_our_own_errors_leaves_the_reader(tmp_path: Path) -> None:
    """In a process of its own, for a codec in C may crash: then `case` names what was being read."""
    case = tmp_path / "case"
    arguments = ["--cases", str(CASES), "--seed", "8", "--trace", str(case)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"case {case.read_text()}: {done.stderr[-2000:]}"
    outcome = json.loads(done.stdout)
    assert (outcome["cases"], outcome["escaped"]) == (CASES, [])
    assert outcome["grown_mib"] < 64
    assert outcome["slowest_s"] < 10
    assert outcome["codes"]["sound: read"] == SYNTAXES
    assert outcome["codes"]["read"] > CASES / 10, "most damage must not be in the first bytes alone"
    assert outcome["codes"]["pixels-damaged"] > CASES / 10
    assert len(outcome["codes"]) > 8


def test_a_foreign_exception_is_found_out() -> None:
    def leaks(content: bytes) -> str:
        return "read" if b"CORPUS^ONE" in content else str(content[10_000_000])

    outcome = fuzz(200, 1, reader=leaks)
    assert outcome.codes["escaped"] > 0
    assert "IndexError" in outcome.escaped[0]


def test_the_damage_is_the_same_each_time_and_another_for_another_seed() -> None:
    one, again, other = Mutator(1), Mutator(1), Mutator(2)
    assert [one.case(index) for index in range(60)] == [again.case(index) for index in range(60)]
    assert sum(one.case(index) == other.case(index) for index in range(60)) < 6
    assert len(one.names) == SYNTAXES
