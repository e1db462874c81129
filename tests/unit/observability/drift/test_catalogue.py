"""What a record tells of a study, and where it is counted."""

from __future__ import annotations

import pytest

from observability.drift.catalogue import (
    ACQUISITION,
    OUTCOME,
    POPULATION,
    SCORES,
    place_of,
    values_of,
    words_of_the_site,
)
from observability.drift.counters import Observed, counted
from observability.record import InferenceRecord, InputFacts, Outcome

FACTS = InputFacts(
    "CT",
    "HEAD",
    slices=30,
    rows=512,
    columns=512,
    spacing_mm=(5.0, 0.45, 0.45),
    slice_thickness_mm=5.0,
    manufacturer="ACME",
    scanner="Spiral 3",
    kernel="H31s",
    age="60-69",
    sex="F",
    signals=(("kvp", 120.0), ("noise_hu", 4.0)),
)
SIGNALS = (*ACQUISITION, *POPULATION, *SCORES, *OUTCOME, *words_of_the_site(["ACME"], ["SPIRAL 3"], []))


def record(facts: InputFacts | None = FACTS, scores: tuple[float, ...] = (0.9, 0.2)) -> InferenceRecord:
    named = tuple((f"finding-{number}", score) for number, score in enumerate(scores))
    return InferenceRecord(
        "k", "m", "1", "d", "champion", Outcome.OK, True, (), site="north", facts=facts, scores=named
    )


def bins(one: InferenceRecord, **measured: float) -> dict[str, str]:
    values = values_of(one, measured)
    return {signal.name: signal.labels[signal.bin_of(values.get(signal.name))] for signal in SIGNALS}


def test_a_record_falls_into_a_bin_of_every_signal() -> None:
    found = bins(record())
    assert found["slices"] == "20 to 40"
    assert found["rows"] == "512 to 513"
    assert found["pixel_spacing"] == "0.4 to 0.5 mm"
    assert found["slice_thickness"] == "4.1 to 5.1 mm"
    assert found["age"] == "60-69"
    assert found["scanner"] == "SPIRAL 3"
    assert found["top_score"] == "≥ 0.9"
    assert found["outcome"] == "ok"


def test_what_nobody_tells_is_missing_and_a_zero_of_a_record_too() -> None:
    found = bins(record(InputFacts("CT"), scores=()))
    silent = {name for name, label in found.items() if label == "missing"}
    assert silent == {signal.name for signal in SIGNALS} - {"outcome"}
    assert bins(record(None))["rows"] == "missing"


def test_doubt_is_a_small_margin_and_a_high_entropy() -> None:
    sure, doubt = values_of(record(scores=(0.99,))), values_of(record(scores=(0.5,)))
    assert (doubt["score_margin"], doubt["score_entropy"]) == (0.0, 1.0)
    assert sure["score_margin"] == pytest.approx(0.98)
    assert sure["score_entropy"] == pytest.approx(0.081, abs=1e-3)


def test_a_study_is_counted_at_its_site_scanner_and_protocol() -> None:
    assert place_of(record()) == ("north", "SPIRAL 3", "HEAD H31S")
    assert place_of(record(None)) == ("north", "unknown", "unknown")


def test_no_count_holds_a_studys_key() -> None:
    tally = counted(SIGNALS, [Observed(place_of(record()), 3, values_of(record()))])
    assert len(tally.cells) == len(SIGNALS)
    assert "k" not in {part for cell in tally.cells for part in (*cell.leaf, cell.signal)}
