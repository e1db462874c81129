"""What the poller of docs/triggers.md announces: decided from what it saw last, so that nothing is lost."""

from __future__ import annotations

import pytest

from tests.recipes import recipe

poller = recipe("pacs_poller")


@pytest.mark.parametrize(
    ("seen", "announced", "now", "due"),
    [
        ({}, {}, {"1.2": 10}, []),  # it may still grow
        ({"1.2": 9}, {}, {"1.2": 10}, []),
        ({"1.2": 10}, {}, {"1.2": 10}, ["1.2"]),
        ({"1.2": 10}, {"1.2": 10}, {"1.2": 10}, []),
        ({"1.2": 11}, {"1.2": 10}, {"1.2": 11}, ["1.2"]),  # a report was stored, or images came
        ({"1.2": 10}, {"1.2": 10}, {}, []),  # deleted
    ],
)
def test_a_study_is_announced_once_for_each_number_of_instances(
    seen: dict[str, int], announced: dict[str, int], now: dict[str, int], due: list[str]
) -> None:
    assert poller.stable_studies(poller.Look(seen, announced), now) == due


def test_what_serinus_did_not_take_is_announced_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [False, True]
    monkeypatch.setattr(poller, "studies_of", lambda environment: {"1.2": 10})
    monkeypatch.setattr(poller, "announce", lambda study, environment: taken.pop(0))
    look = poller.Look({"1.2": 10}, {})
    look = poller.look(look, {})
    assert look.announced == {}
    look = poller.look(look, {})
    assert look.announced == {"1.2": 10}
    assert poller.look(look, {}).announced == {"1.2": 10}
    assert taken == []
