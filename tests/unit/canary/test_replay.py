"""The last study of each patient, by time alone, and no more patients than were asked for."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from canary.replay import last_of_patients


@dataclass(frozen=True)
class Study:
    patient: str
    number: int


STUDIES = st.lists(st.sampled_from("abcdef"), max_size=20).map(
    lambda patients: [Study(patient, number) for number, patient in enumerate(patients)]
)


@given(studies=STUDIES, number=st.integers(1, 8))
def test_each_patient_comes_once_by_its_newest_study_up_to_the_number(
    studies: list[Study], number: int
) -> None:
    chosen = list(last_of_patients(studies, number))
    newest = {study.patient: study for study in reversed(studies)}
    assert chosen == sorted(newest.values(), key=lambda study: study.number)[:number]


@given(studies=STUDIES, number=st.integers(1, 8))
def test_no_study_is_looked_at_beyond_the_last_patient(studies: list[Study], number: int) -> None:
    looked: list[Study] = []

    def look() -> object:
        for study in studies:
            looked.append(study)
            yield study

    chosen = list(last_of_patients(look(), number))  # type: ignore[arg-type]
    if len(chosen) == number:
        assert looked[-1] == chosen[-1]
