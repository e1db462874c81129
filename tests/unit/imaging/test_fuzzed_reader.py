"""Damaged objects of every transfer syntax, and multi-frame ones of every kind.

What leaves the reader is a study, or an error of ours with a code.
"""

from __future__ import annotations

from pathlib import Path

from tests.fuzzing.__main__ import fuzz
from tests.fuzzing.apart import fuzz_apart
from tests.fuzzing.mutate import Mutator

SOUND = 19  # one of each transfer syntax and of each kind of multi-frame image, and two in colour
CASES = 1500


def test_nothing_but_our_own_errors_leaves_the_reader(tmp_path: Path) -> None:
    outcome = fuzz_apart(CASES, 8, tmp_path, timeout_s=300)
    assert outcome["slowest_s"] < 10
    assert outcome["codes"]["sound: read"] == SOUND
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
    assert len(one.names) == SOUND
