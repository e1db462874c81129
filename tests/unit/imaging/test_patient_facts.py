"""The age at the time of the study, and what else routing needs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.assemble import to_volume
from imaging.patient_facts import age_of, age_years, patient_facts, years_between
from tests.ct import ct_slice


def test_the_facts_of_a_study_are_read_from_an_image() -> None:
    images = [ct_slice(index, ManufacturerModelName="Scan 9", PatientAge="061Y") for index in range(3)]
    facts = patient_facts(images, to_volume(images))
    assert (facts.patient_id, facts.accession, facts.age_years) == ("CANARY-ID", "ACC1", 61)
    assert (facts.modality, facts.body_part, facts.scanner) == ("CT", "HEAD", "Synthetic Scan 9")
    assert "CANARY-ID" not in repr(facts)
    assert "61" not in repr(facts)


@pytest.mark.parametrize(
    ("age", "years"),
    [("061Y", 61), ("006M", 0.5), ("000D", 0), ("", None), ("61Y", None), ("061X", None), ("061Y\n", None)],
)
def test_an_age_string_is_years_or_unknown(age: str, years: float | None) -> None:
    assert age_years(age) == years


def test_a_stated_age_counts_before_the_birth_date() -> None:
    assert age_of(ct_slice(PatientAge="044Y")) == 44


def test_without_an_age_the_birth_date_and_the_day_of_the_study_tell_it() -> None:
    age = age_of(ct_slice(PatientBirthDate="20070103", StudyDate="20250102"))
    assert age is not None
    assert 17.9 < age < 18


@pytest.mark.parametrize(
    ("birth", "study", "years"),
    [
        ("20010301", "20190301", 18),  # 6574 days, which are 17.998 mean years
        ("20010301", "20190228", 17),
        ("20070101", "20250101", 18),
        ("20040229", "20220228", 17),
        ("20040229", "20220301", 18),
        ("20040229", "20240229", 20),
        ("20240229", "20240229", 0),
        ("20231231", "20240101", 0),
        ("18951231", "20251230", 129),
        ("18951231", "20251231", 130),
    ],
)
def test_a_year_is_full_on_the_birthday_and_not_before(birth: str, study: str, years: int) -> None:
    age = years_between(birth, study)
    assert age is not None
    assert int(age) == years


@given(born=st.dates(date(1900, 1, 1), date(2020, 1, 1)), days=st.integers(0, 40_000))
def test_an_age_grows_from_day_to_day(born: date, days: int) -> None:
    day, next_day = born + timedelta(days), born + timedelta(days + 1)
    age, later = (years_between(f"{born:%Y%m%d}", f"{moment:%Y%m%d}") for moment in (day, next_day))
    assert age is not None
    assert later is not None
    assert age < later < age + 0.01


@pytest.mark.parametrize(
    ("birth", "study"),
    [
        ("", "20250102"),
        ("19700101", ""),
        ("1970", "20250102"),
        ("19700231", "20250102"),
        ("20250103", "20250102"),
        ("18500101", "20250102"),
        ("1970.01.01", "20250102"),
    ],
)
def test_dates_that_tell_no_age_leave_it_unknown(birth: str, study: str) -> None:
    assert years_between(birth, study) is None
