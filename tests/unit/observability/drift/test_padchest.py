"""The dated stream of a hospital goes through the product's own verdict, and only where its table is installed."""

from __future__ import annotations

import io
from datetime import timedelta

import numpy as np
import pytest

from benchmarks.drift import padchest

COLUMNS = ("StudyDate_DICOM", "PatientBirth", "Projection", *padchest.WORDS[:4], *padchest.NUMBERS[1:])


def table(weeks: int, films: int = 12) -> str:
    """Films of adults as CSV; from the tenth watched week on they are DX instead of CR."""
    rng, lines = np.random.default_rng(1), [",".join(COLUMNS)]
    change = padchest.WATCHED + timedelta(weeks=9)
    for week in range(weeks):
        day = padchest.MONDAY + timedelta(weeks=week)
        modality = "DX" if day >= change else "CR"
        for width in rng.normal(2_000, 100, films):
            numbers = f"{width:.0f},{2 * width:.0f},100,5"
            lines.append(f"{day:%Y%m%d},{rng.integers(1930, 1980)},PA,Maker,{modality},12,F,{numbers}")
    return "\n".join(
        [*lines, "20150101,,PA" + "," * 8, "20150101,2014,PA" + "," * 8, "20150101,1950,L" + "," * 8]
    )


def test_a_change_of_modality_is_dated_and_named() -> None:
    rows = padchest.read(io.StringIO(table(weeks=168)))
    assert len(rows) == 168 * 12
    first = next(iter(padchest.alarms(rows)))
    assert first.week.isoformat() in ("2012-03-05", "2012-03-12")
    assert "Modality_DICOM" in first.signals


def test_who_accepts_what_came_is_told_of_it_once() -> None:
    rows = padchest.read(io.StringIO(table(weeks=172)))
    kept, accepted = (list(padchest.alarms(rows, habit)) for habit in padchest.HABITS[:2])
    assert len(kept) > len(accepted) >= 1


def test_weeks_of_the_reference_in_a_new_order_are_no_drift() -> None:
    rows = padchest.read(io.StringIO(table(weeks=160)))
    assert padchest.false_alarms(rows, 1, np.random.default_rng(2)) == (0, 1)


def test_the_section_on_the_real_stream_takes_the_place_of_the_last() -> None:
    page = padchest.with_section("# Page\n\nText.\n", "## A real stream\nold\n")
    assert padchest.section_of(page) == "## A real stream\nold\n"
    assert (
        padchest.with_section(page, "## A real stream\nnew\n") == "# Page\n\nText.\n\n## A real stream\nnew\n"
    )
    assert padchest.section_of("# Page\n") == ""


def test_without_the_table_it_says_so_and_downloads_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(padchest, "tables", lambda: None)
    assert padchest.run(1, None) == padchest.ABSENT
    assert "torchxrayvision is not installed" in capsys.readouterr().err
