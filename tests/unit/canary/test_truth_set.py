"""Ground-truth sets: the same content is the same set, and a version is as good as it says what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from canary.truth import TruthLabel, TruthSource
from canary.truth_set import (
    BadLine,
    SetLine,
    SetTruth,
    Told,
    counts_of,
    digest_of_set,
    due_versions,
    proportion,
    reading_id,
    score,
    studies_of,
)

ICH, MASS = "1386000@SCT", "4147007@SCT"
PRESENT, ABSENT = TruthLabel.PRESENT, TruthLabel.ABSENT


def line(uid: str = "1.2.1", label: TruthLabel = PRESENT, finding: str = ICH, **more: Any) -> SetLine:
    return SetLine("pacs", uid, finding, SetTruth(label, TruthSource.PATHOLOGY, "lab"), **more)


LINES = [line("1.2.1"), line("1.2.2", ABSENT), line("1.2.2", PRESENT, MASS), line("1.2.3", ABSENT)]


@given(order=st.permutations(LINES))
def test_the_same_lines_in_any_order_are_the_same_set(order: list[SetLine]) -> None:
    studies = studies_of(order)
    assert studies == studies_of(LINES)
    assert [study.number for study in studies] == [0, 1, 2]
    assert counts_of(studies) == {ICH: {"present": 1, "absent": 2}, MASS: {"present": 1, "absent": 0}}


@pytest.mark.parametrize(
    "other",
    [
        line("1.2.1", ABSENT),
        line("1.2.9"),
        line("1.2.1", series_uid="1.2.1.1"),
        line("1.2.1", finding=MASS),
        replace(line(), study_source="samples"),
        replace(line(), truth=SetTruth(PRESENT, TruthSource.REPORT, "lab")),
        replace(line(), truth=SetTruth(PRESENT, TruthSource.PATHOLOGY, "reader-2")),
    ],
)
def test_any_other_content_has_another_digest(other: SetLine) -> None:
    assert digest_of_set("ich", studies_of([other])) != digest_of_set("ich", studies_of([line()]))


def test_the_digest_names_the_model_too() -> None:
    assert digest_of_set("ich", studies_of(LINES)) != digest_of_set("chest", studies_of(LINES))


@pytest.mark.parametrize(
    ("second", "word"),
    [
        (line(), "before"),
        (line(label=ABSENT), "before"),
        (line(finding=MASS, series_uid="1.2.1.1"), "another source or series"),
        (replace(line(finding=MASS), study_source="samples"), "another source or series"),
    ],
)
def test_a_line_that_contradicts_another_is_named(second: SetLine, word: str) -> None:
    with pytest.raises(BadLine, match=word) as raised:
        studies_of([line(), line("1.2.2"), second])
    assert raised.value.number == 2


def test_a_truth_that_decides_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="present or absent"):
        SetTruth(TruthLabel.INDETERMINATE, TruthSource.REPORT, "r")


def test_no_uid_and_no_reader_stands_in_a_representation() -> None:
    text = repr(line("1.2.840.77")) + repr(studies_of([line("1.2.840.77")]))
    assert "1.2.840.77" not in text
    assert "lab" not in text.replace("label", "")


def test_a_version_is_right_if_it_says_what_is_there() -> None:
    lines = [line(f"1.2.{n}", PRESENT if n < 6 else ABSENT) for n in range(9)]
    told = {
        0: Told({ICH: "present"}),
        1: Told({ICH: "absent"}),
        2: Told({ICH: "indeterminate"}),
        3: Told({}),
        4: Told(failed=True),
        5: Told(unread=True),
        6: Told({ICH: "absent"}),
        7: Told({ICH: "present"}),
    }
    (found,) = score(studies_of(lines), told)
    assert (found.sensitivity.right, found.sensitivity.number) == (1, 5)
    assert (found.specificity.right, found.specificity.number) == (1, 2)
    assert (found.failed, found.unread, found.is_complete) == (1, 2, False)


def test_each_finding_has_a_score_of_its_own() -> None:
    told = {number: Told({ICH: "absent", MASS: "present"}) for number in range(3)}
    ich, mass = score(studies_of(LINES), told)
    assert (ich.sensitivity.share, ich.specificity.share) == (0.0, 1.0)
    assert (mass.sensitivity.share, mass.specificity.share) == (1.0, None)


@given(number=st.integers(1, 400), share=st.floats(0, 1))
def test_the_interval_is_the_exact_one(number: int, share: float) -> None:
    right = round(share * number)
    found = proportion(right, number)
    low, high = proportion_confint(right, number, method="beta")
    assert (found.low, found.high) == (
        pytest.approx(0.0 if right == 0 else low, abs=1e-9),
        pytest.approx(1.0 if right == number else high, abs=1e-9),
    )
    assert found.low is not None
    assert found.high is not None
    assert found.share is not None
    assert found.low <= found.share <= found.high


def test_of_no_study_nothing_is_said() -> None:
    assert proportion(0, 0).share is None
    with pytest.raises(ValueError, match="more can be right"):
        proportion(2, 1)


def test_readings_of_a_run_have_names_of_their_own() -> None:
    names = {reading_id(run, number) for run in ("a", "b") for number in range(50)}
    assert len(names) == 100
    assert all(len(name) == 32 for name in names)


def test_a_version_that_never_was_run_is_due_at_once_and_others_after_their_time() -> None:
    assert due_versions(["1", "2", "1"], {"1": 100.0}, 60.0, 159.0) == ("2",)
    assert due_versions(["1", "2"], {"1": 100.0, "2": 130.0}, 60.0, 160.0) == ("1",)
    assert due_versions([], {"9": 0.0}, 60.0, 1e9) == (), "whoever is not live any more is not run"
