"""Of an application's replicas as many are there whatever comes as its least number says, the same ones as before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from observability.cost.observed import LivingReplica, Observed, Untold
from serve_apps.control.elastic import app_of, with_elastic


def named(number: int, app: str = "mv-ich-1") -> str:
    return f"session_1/SERVE_REPLICA::{app}#ModelServer#{number:04d}"


@given(before=st.sets(st.integers(0, 9)), living=st.sets(st.integers(0, 9)), least=st.integers(0, 12))
def test_as_many_are_not_elastic_as_the_least_number_says(
    before: set[int], living: set[int], least: int
) -> None:
    last = Observed(1, {named(one): Untold(LivingReplica(named(one), ()), 1) for one in before})
    known = {named(one): LivingReplica(named(one), ()) for one in living}
    marked = with_elastic(known, last, lambda _: least)
    base, former = {name for name, one in marked.items() if not one.is_elastic}, set(last.replicas)
    assert len(base) == min(least, len(living))
    assert base <= former or former & marked.keys() <= base


def test_each_application_has_a_least_number_of_its_own() -> None:
    names = [named(number, app) for app in ("mv-ich-1", "mv-ich-2") for number in (1, 2)]
    living = {name: LivingReplica(name, ()) for name in names}
    marked = with_elastic(living, Observed(), {"mv-ich-1": 0, "mv-ich-2": 2}.__getitem__)
    assert [one.is_elastic for one in marked.values()] == [True, True, False, False]


def test_an_actor_that_is_no_replica_is_of_no_application() -> None:
    assert (app_of(named(1)), app_of("session_1/other")) == ("mv-ich-1", "")
