"""Whoever stands beside a study that ends its reader is read; that study is read twice, and then no more."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from core.retry import Attempts, FailureClass, RetryPolicy, after_failure

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
READ, PARKED = "read", "parked"


@given(
    poison=st.lists(st.booleans(), min_size=1, max_size=12),
    together=st.integers(1, 6),
    kills=st.sets(st.integers(0, 8)),
)
def test_the_poison_is_parked_and_nobody_else(poison: list[bool], together: int, kills: set[int]) -> None:
    """Readers of several studies at a time, some of which end their process. Now and then somebody kills one too."""
    outcomes, deaths = read_all(poison, together, kills)
    assert outcomes == {study: PARKED if ends else READ for study, ends in enumerate(poison)}
    assert all(deaths[study] == 1 for study, ends in enumerate(poison) if ends), "alone, once"


def read_all(poison: list[bool], together: int, kills: set[int]) -> tuple[dict[int, str], Counter[int]]:
    """How each study ends, and how many processes ended under it alone."""
    waiting, suspects = list(range(len(poison))), list[int]()
    outcomes: dict[int, str] = {}
    died_alone: Counter[int] = Counter()
    wave = 0
    while waiting or suspects:
        alone = bool(suspects)
        reading = [suspects.pop(0)] if alone else [waiting.pop(0) for _ in range(min(together, len(waiting)))]
        dies = any(poison[study] for study in reading) or (not alone and wave in kills)
        wave += 1
        for study in reading:
            if not dies:
                outcomes[study] = READ
                continue
            died_alone[study] += alone
            behind = Attempts(failed=0, losses=int(alone), failing_since=None, suspect=alone)
            decision = after_failure(FailureClass.READER_LOST, behind, NOON, RetryPolicy())
            assert decision.at in (None, NOON)
            if decision.at is None:
                outcomes[study] = PARKED
            else:
                assert not decision.counts
                suspects.append(study)
    return outcomes, died_alone
