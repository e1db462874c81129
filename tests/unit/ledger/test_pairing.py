"""Which changes add behind all that was there, and which change what whoever counts has taken already."""

from __future__ import annotations

from ledger import KeptFor, Ledger
from ledger.jobs import DAY
from ledger.pairing import PairingMark
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import SHARE, read_twice, told


def mark(ledger: Ledger) -> PairingMark:
    return ledger.paired_feed.mark("ich")


def test_before_the_first_change_there_is_none(ledger: Ledger) -> None:
    assert mark(ledger) == PairingMark(0, None)
    read_twice(ledger)
    assert mark(ledger) == PairingMark(0, None), "no study waits for its pair"


def test_a_pair_and_the_first_truth_of_a_study_only_add(ledger: Ledger) -> None:
    for number in range(2):
        read_twice(ledger, f"pt-{number}", at=after(10 * number))
        ledger.pairs.collect("ich", SHARE)
        set_time(ledger, after(10 * number + 5))
        ledger.truths.add(told(study=f"pt-{number}"), actor="a")
    assert mark(ledger) == PairingMark(0, after(15))


def test_another_truth_and_a_withdrawn_one_change_what_was_there(ledger: Ledger) -> None:
    first = ledger.truths.add(told(), actor="a").truth
    set_time(ledger, after(1))
    ledger.truths.add(told(reader="reader-8"), actor="a")
    assert mark(ledger) == PairingMark(1, after(1))
    set_time(ledger, after(2))
    ledger.truths.withdraw(first.id, first.study_key, tenant="ris", actor="a")
    assert mark(ledger) == PairingMark(2, after(2))


def test_what_does_not_come_later_than_the_latest_change_counts_as_one_of_what_was_there(
    ledger: Ledger,
) -> None:
    set_time(ledger, after(60))
    ledger.truths.add(told(study="pt-1"), actor="a")
    for expected, seconds in ((1, 60), (2, 30)):
        set_time(ledger, after(seconds))
        ledger.truths.add(told(study=f"pt-{seconds}"), actor="a")
        assert mark(ledger) == PairingMark(expected, after(60))


def test_what_is_deleted_changes_what_was_there(ledger: Ledger) -> None:
    read_twice(ledger)
    ledger.pairs.collect("ich", SHARE)
    set_time(ledger, NOON + 2 * DAY)
    ledger.retention.purge(KeptFor(None, DAY, None), actor="a")
    assert mark(ledger) == PairingMark(0, NOON)
    ledger.retention.purge(KeptFor(None, None, DAY), actor="a")
    assert mark(ledger).rewrites > 0
