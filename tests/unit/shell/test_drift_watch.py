"""Each day that is over is judged once; an alarm stands in the ledger, the status and the metrics until a person
looks, and what a person never said is learned by nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from ledger import DriftSeen, Ledger, NewReference, StoredVerdict
from ledger.drift_readings import SLICE_S
from observability.drift.counters import slice_of
from observability.drift.reference import Reference
from observability.drift.verdict import DriftState
from serve_apps.application.drift import report_until, today_at
from serve_apps.application.drift_watch import DriftWatch, drift_alarms
from tests.unit.shell import drift_site
from tests.unit.shell.drift_site import BEGINS, MODEL, VERSION, fold, readings, write_day

REFERENCE_DAYS, DAYS = 12, 16
FIRST = slice_of(int(BEGINS.timestamp()), SLICE_S)
KEY = (MODEL, VERSION)


@pytest.fixture
def ledger(tmp_path: object) -> Ledger:
    """Twelve days that a person called normal, and four on which a scanner came that nobody knew."""
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    rng = np.random.default_rng(5)
    for day in range(DAYS):
        write_day(opened, day, readings(rng, day, is_changed=day >= REFERENCE_DAYS))
    fold(opened)
    return opened


def accept(ledger: Ledger, first: int = 0, days: int = REFERENCE_DAYS) -> Reference:
    new = NewReference(MODEL, VERSION, FIRST + first, FIRST + first + days - 1, FIRST + first + days)
    reference = ledger.drift_references.accept(new, actor="admin/ada")
    assert reference is not None
    return reference


def watch_of(ledger: Ledger, days: int = DAYS) -> DriftWatch:
    return DriftWatch(ledger, lambda: BEGINS + timedelta(days=days))


def verdict(ledger: Ledger) -> StoredVerdict:
    (kept,) = ledger.drift_verdicts.all()
    return kept


def seen(ledger: Ledger) -> DriftSeen:
    found = verdict(ledger).seen
    assert found is not None
    return found


def actions(ledger: Ledger) -> list[str]:
    return [row.action for row in ledger.audit.rows(subject=MODEL)]


def test_a_version_is_judged_once_a_day_and_only_against_what_a_person_accepted(ledger: Ledger) -> None:
    watch = watch_of(ledger)
    assert watch.look([KEY]) == 0, "nobody said what is normal"
    accept(ledger)
    assert watch.look([]) == 0, "it is not in service"
    assert (watch.look([KEY]), watch.look([KEY])) == (1, 0)
    assert watch_of(ledger, DAYS + 1).look([KEY]) == 1


def test_a_scanner_that_nobody_knew_is_an_alarm_until_a_person_has_looked(ledger: Ledger) -> None:
    accept(ledger)
    watch_of(ledger).look([KEY])
    assert seen(ledger).state is DriftState.ALARM
    assert seen(ledger).since == FIRST + REFERENCE_DAYS
    (sentence,) = drift_alarms(ledger.drift_verdicts.all(), [KEY]).values()
    assert "serinus drift acknowledge" in sentence
    assert drift_alarms(ledger.drift_verdicts.all(), []) == {}, "it serves nobody"
    assert actions(ledger).count("drift.alarm") == 1
    watch_of(ledger, DAYS + 1).look([KEY])
    assert actions(ledger).count("drift.alarm") == 1, "it is the same alarm"

    today = today_at(BEGINS + timedelta(days=DAYS + 1))
    looked = ledger.drift_verdicts.acknowledge(MODEL, VERSION, today, actor="admin/bo")
    assert looked is not None
    assert looked.is_alarm
    assert drift_alarms(ledger.drift_verdicts.all(), [KEY]) == {}
    (row,) = [row for row in ledger.audit.rows(subject=MODEL) if row.action == "drift.acknowledge"]
    assert (row.actor, row.detail["state"]) == ("admin/bo", "alarm")
    watch_of(ledger, DAYS + 2).look([KEY])
    assert seen(ledger).state is DriftState.NO_EVIDENCE, "watching began anew, and nothing came since"
    assert verdict(ledger).restarted_at == today


def test_what_came_may_be_accepted_as_the_new_normal(ledger: Ledger) -> None:
    accept(ledger)
    watch_of(ledger).look([KEY])
    accept(ledger, first=4)
    assert ledger.drift_verdicts.all() == (), "who accepts has looked"
    watch_of(ledger).look([KEY])
    assert seen(ledger).state is not DriftState.ALARM


def test_a_look_that_began_before_a_person_looked_is_not_kept(ledger: Ledger) -> None:
    accept(ledger)
    watch_of(ledger).look([KEY])
    late = verdict(ledger)
    ledger.drift_verdicts.acknowledge(MODEL, VERSION, FIRST + DAYS, actor="admin/bo")
    assert not ledger.drift_verdicts.keep(late, actor="drift-watch")
    assert verdict(ledger).seen is None


def test_the_words_of_a_site_become_bins_when_a_person_accepts_them(ledger: Ledger) -> None:
    reference = accept(ledger)
    assert reference.signal("scanner").categories == ("ACME SPIRAL 3", "BOREALIS CT 64")
    assert reference.signal("kernel").categories == ("H31S",)
    report = report_until(ledger, MODEL, VERSION, FIRST + DAYS - 1, with_blind_spots=False)
    assert report is not None
    scanners = next(one for one in report.signals if one.signal.name == "scanner")
    assert scanners.reference[-2:] == (0, 0)
    assert 100 < scanners.now[-2] < 300, "the new one is `other`"
    assert sum(scanners.now) == (DAYS - REFERENCE_DAYS) * drift_site.PER_DAY


def test_a_study_unlike_all_others_is_flagged_at_the_stated_rate(ledger: Ledger) -> None:
    reference = accept(ledger)
    assert sum(n for cell, n in reference.tally.cells.items() if cell.signal == "outlier") == 720
    rng = np.random.default_rng(6)
    write_day(ledger, DAYS, readings(rng, DAYS, number=400))
    write_day(ledger, DAYS + 1, readings(rng, DAYS + 1, is_changed=True, number=400))
    fold(ledger)

    def flagged(day: int) -> int:
        tally = ledger.drift.tally(MODEL, VERSION, FIRST + day, FIRST + day, reference.signals)
        return sum(n for cell, n in tally.cells.items() if (cell.signal, cell.bin) == ("outlier", 1))

    assert flagged(DAYS) <= 14
    assert flagged(DAYS + 1) > 40


def test_the_kept_reference_is_what_was_accepted(ledger: Ledger) -> None:
    accepted = accept(ledger)
    kept = ledger.drift_references.newest(MODEL, VERSION)
    assert kept is not None
    assert (kept.signals, kept.digest) == (accepted.signals, accepted.digest)


@pytest.mark.parametrize("look", [lambda one: one.drift_verdicts.of(MODEL, VERSION)])
def test_nobody_can_look_at_what_was_never_judged(ledger: Ledger, look: Callable[[Ledger], object]) -> None:
    assert look(ledger) is None
    assert ledger.drift_verdicts.acknowledge(MODEL, VERSION, 1, actor="admin/bo") is None
