"""Pairs, truths and looks in any order, under a clock that may go back: the bits are those of one computation."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.truth import TruthLabel
from ledger import Ledger
from tests.unit.ledger.conftest import Clock, after, set_time
from tests.unit.ledger.paired import ICH, failed, read_twice, told
from tests.unit.ledger.test_measured_evidence import (
    LATER,
    OTHER,
    VOLUME,
    begin,
    candidate,
    champion,
    forget,
    kept,
    look,
    with_another,
)

PATIENTS = st.sampled_from([f"pt-{number}" for number in range(6)])
SCORES = st.sampled_from([0.1, 0.4, 0.7, 0.9])
MS = st.sampled_from([20.0, 50.0, 130.0])
ML = st.sampled_from([0.0, 80.0, 100.0])
READ = st.builds(candidate, SCORES, ML, MS, st.sampled_from([None, 0.0, 0.6, 0.97]))
SHADOWS = st.one_of(READ, READ, st.sampled_from(["model-error", "outside-intended-use"]))
TOLD = st.builds(champion, SCORES, ML, MS)
CHAMPIONS = st.one_of(TOLD, TOLD, TOLD.map(with_another), st.just(failed()))
ARRIVALS = st.one_of(
    st.tuples(st.just("pair"), PATIENTS, CHAMPIONS, SHADOWS),
    st.tuples(st.just("pair"), PATIENTS, CHAMPIONS, SHADOWS),
    st.tuples(
        st.just("truth"),
        PATIENTS,
        st.sampled_from([TruthLabel.PRESENT, TruthLabel.ABSENT]),
        st.sampled_from([ICH, OTHER]),
    ),
    st.tuples(st.just("value"), PATIENTS),
    st.tuples(st.just("withdrawn"), PATIENTS),
    st.tuples(st.just("clock"), st.sampled_from([-30.0, 0.0, 5.0])),
    st.tuples(st.just("look")),
)


class Site:
    """A clock that mostly goes on, and a ledger that is told of each event."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.seconds, self.ticks = ledger, 60.0, 0
        self.studies: dict[str, list[str]] = {}
        self.truths: dict[str, list[tuple[str, str]]] = {}

    def happens(self, kind: str, *what: Any) -> None:
        self.ticks += 1
        set_time(self.ledger, after(self.seconds))
        getattr(self, kind)(*what)
        if self.ticks % 3:  # some stand at one moment
            self.seconds += 1.0

    def pair(self, patient: str, delivered: Any, shadow: Any) -> None:
        study = f"{patient}-{self.ticks}"
        read_twice(self.ledger, patient, delivered, shadow, study=study, at=after(self.seconds))
        self.studies.setdefault(patient, []).append(study)

    def truth(self, patient: str, label: TruthLabel, finding: str) -> None:
        for study in self.studies.get(patient, []):
            added = self.ledger.truths.add(told(label, study, finding=finding), actor="ris").truth
            self.truths.setdefault(patient, []).append((added.id, added.study_key))

    def value(self, patient: str) -> None:
        for study in self.studies.get(patient, []):
            measured = told(None, study, finding=VOLUME, value=90.0, unit="ml")
            self.ledger.truths.add(measured, actor="ris")

    def withdrawn(self, patient: str) -> None:
        for truth, study_key in self.truths.get(patient, [])[:1]:
            self.ledger.truths.withdraw(truth, study_key, tenant="ris", actor="ris")

    def clock(self, by: float) -> None:
        self.seconds = max(1.0, self.seconds + by)

    def look(self) -> None:
        look(self.ledger, self.seconds)


@given(st.lists(ARRIVALS, min_size=4, max_size=26))
@settings(max_examples=40, deadline=None)
def test_looks_at_any_time_give_the_bits_of_one_computation_from_nothing(arrivals: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock())
        begin(ledger)
        site = Site(ledger)
        for kind, *what in arrivals:
            site.happens(kind, *what)
        told_now, states = look(ledger, site.seconds + LATER), kept(ledger)
        forget(ledger)
        assert look(ledger, site.seconds + LATER) == told_now
        assert kept(ledger) == states
        ledger.close()
