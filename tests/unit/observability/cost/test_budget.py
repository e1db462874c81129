"""A budget: what gives way, in which order, and what never does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from observability.cost.budget import KEPT, Budget, PendingWork, Period, WorkClass, shed

DAILY = Budget("ich-daily", 100, Period.DAY, model="ich")
REPLAY = PendingWork("replay r1", "ich", WorkClass.REPLAY, 30)
SHADOW = PendingWork("shadow of 2", "ich", WorkClass.SHADOW, 30)
LIVE = PendingWork("live work", "ich", WorkClass.LIVE, 50)
works = st.builds(
    PendingWork,
    st.text("ab", max_size=3),
    st.sampled_from(["ich", "lungs"]),
    st.sampled_from(WorkClass),
    st.integers(0, 60),
)


def test_what_only_looks_back_gives_way_first() -> None:
    verdict = shed(DAILY, 10, [LIVE, SHADOW, REPLAY])
    assert verdict.shed == (REPLAY,)
    assert verdict.reason == "replay r1 would pass the budget ich-daily of a day and waits"
    assert (
        shed(DAILY, 0, [LIVE, SHADOW]).reason == "the budget ich-daily of a day covers all that is asked for"
    )


def test_of_one_class_the_dearest_gives_way_so_that_the_fewest_wait() -> None:
    cheap = PendingWork("replay r0", "ich", WorkClass.REPLAY, 5)
    assert shed(DAILY, 90, [cheap, REPLAY]).shed == (REPLAY,)


def test_live_work_goes_on_and_the_reason_says_so() -> None:
    verdict = shed(DAILY, 90, [LIVE, SHADOW])
    assert (verdict.shed, verdict.over, verdict.is_kept) == ((SHADOW,), 40, False)
    assert "live work and safety nets go on, and pass it" in verdict.reason
    assert "nothing that may wait would help" in shed(DAILY, 90, [LIVE]).reason


def test_another_model_or_class_is_none_of_its_business() -> None:
    other = PendingWork("replay of lungs", "lungs", WorkClass.REPLAY, 1000)
    assert shed(DAILY, 0, [other]).shed == ()
    only_shadows = Budget("shadows", 10, Period.MONTH, classes=frozenset({WorkClass.SHADOW}))
    assert shed(only_shadows, 0, [REPLAY, SHADOW]).shed == (SHADOW,)


@given(st.integers(0, 200), st.integers(0, 200), st.lists(works, max_size=8))
def test_the_limit_holds_unless_only_work_is_left_that_never_waits(
    limit: int, spent: int, asked: list[PendingWork]
) -> None:
    budget = Budget("b", limit, Period.MONTH)
    verdict = shed(budget, spent, asked)
    left = spent + sum(work.expected for work in asked) - sum(work.expected for work in verdict.shed)
    assert not any(work.work_class in KEPT for work in verdict.shed)
    may_wait = sum(work.expected for work in asked if work.work_class not in KEPT)
    assert left <= limit or sum(work.expected for work in verdict.shed) == may_wait
    assert verdict.over == max(0, left - limit)
