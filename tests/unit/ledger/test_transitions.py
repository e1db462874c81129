"""The history of the aliases, which MLflow does not keep."""

from __future__ import annotations

from itertools import pairwise
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Ledger

VERSIONS = st.sampled_from((None, "1", "2", "3"))


def move(
    ledger: Ledger, old: str | None, new: str | None, model: str = "ich", alias: str = "champion"
) -> bool:
    return ledger.transitions.record(model, alias, old, new, generation=4, reason="moved in MLflow")


def test_a_transition_is_kept_with_both_versions_and_audited(ledger: Ledger) -> None:
    assert move(ledger, "1", "2")
    (kept,) = ledger.transitions.history("ich")
    assert (kept.alias, kept.old, kept.new, kept.generation) == ("champion", "1", "2", 4)
    (row,) = ledger.audit.rows(subject="ich")
    assert (row.action, row.detail["old"], row.detail["new"]) == ("alias-moved", "1", "2")


def test_a_look_that_is_repeated_after_a_crash_is_no_news(ledger: Ledger) -> None:
    assert [move(ledger, "1", "2") for _ in range(3)] == [True, False, False]
    assert (len(ledger.transitions.history("ich")), len(ledger.audit.rows())) == (1, 1)


def test_there_and_back_is_three_transitions(ledger: Ledger) -> None:
    assert all((move(ledger, "1", "2"), move(ledger, "2", "1"), move(ledger, "1", "2")))
    assert [t.new for t in ledger.transitions.history("ich")] == ["2", "1", "2"]


def test_an_alias_that_was_deleted_is_told_apart_from_one_that_never_was(ledger: Ledger) -> None:
    assert not move(ledger, None, None)
    assert move(ledger, "1", None)
    assert not move(ledger, "1", None)
    assert ledger.transitions.history("ich")[0].new is None


def test_aliases_and_models_have_histories_of_their_own(ledger: Ledger) -> None:
    assert move(ledger, "1", "2")
    assert move(ledger, "1", "2", alias="challenger")
    assert move(ledger, "1", "2", model="chest")
    assert len(ledger.transitions.history("ich", limit=1)) == 1
    assert {t.alias for t in ledger.transitions.history("ich")} == {"champion", "challenger"}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=st.lists(VERSIONS, max_size=8), repeats=st.integers(1, 3))
def test_the_history_is_an_unbroken_chain_however_often_each_look_is_repeated(
    ledger: Ledger, seen: list[str | None], repeats: int
) -> None:
    model = uuid4().hex
    here: str | None = None
    for version in seen:
        for _ in range(repeats):
            move(ledger, here, version, model=model)
        here = version
    chain = ledger.transitions.history(model)[::-1]
    assert [t.new for t in chain] == [v for v, last in zip(seen, [None, *seen], strict=False) if v != last]
    assert all(later.old == earlier.new for earlier, later in pairwise(chain))
