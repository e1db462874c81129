"""Words of headers are counted in bounds, and what a version said waits for the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from canary.truth import TruthLabel, TruthSource
from ledger import Ledger, NewReference, NewTruth
from ledger.drift_readings import MOST_LEAVES, MOST_WORDS, SIGNALS, SLICE_S
from ledger.drift_references import LEAST_OF_A_WORD
from ledger.tables import drift_answers, drift_counts, drift_words
from observability.drift.against_truth import against_truth
from observability.drift.counters import slice_of
from observability.record import InferenceRecord
from tests.unit.ledger.conftest import set_time
from tests.unit.shell.drift_site import (
    BEGINS,
    FINDING,
    MODEL,
    SCANNERS,
    VERSION,
    a_reading,
    fold,
    readings,
    write_day,
)

DAY = slice_of(int(BEGINS.timestamp()), SLICE_S)
RNG_SEED = 3


def some(number: int, **facts: str) -> list[InferenceRecord]:
    rng = np.random.default_rng(RNG_SEED)
    plain = [a_reading(rng, place, SCANNERS[0], 4.0) for place in range(number)]
    return [replace(one, facts=replace(one.facts, **facts)) for one in plain if one.facts is not None]


def written(ledger: Ledger, records: list[InferenceRecord], day: int = 0) -> None:
    write_day(ledger, day, iter(records))
    set_time(ledger, BEGINS + timedelta(days=day, minutes=1))
    fold(ledger)


def words(ledger: Ledger, signal: str) -> dict[str, int]:
    number = sa.func.sum(drift_words.c["count"])
    query = sa.select(drift_words.c.word, number).where(drift_words.c.signal == signal)
    with ledger.database.read() as connection:
        return {word: count for word, count in connection.execute(query.group_by(drift_words.c.word))}


def test_a_header_that_says_something_new_each_time_fills_no_table(ledger: Ledger) -> None:
    odd = [
        one
        for place in range(MOST_WORDS + 40)
        for one in some(1, kernel=f"K{place}", body_part="HEAD", scanner="S")
    ]
    written(ledger, odd)
    with ledger.database.read() as connection:
        leaves = set(connection.execute(sa.select(drift_words.c.leaf)).scalars())
    assert len(leaves) <= MOST_LEAVES + 1
    assert sum(words(ledger, "kernel").values()) == len(odd)


def test_a_word_that_few_studies_tell_is_no_word_of_the_site(ledger: Ledger) -> None:
    """A patient's name in a wrong field is told by one patient's studies."""
    written(
        ledger,
        [*some(LEAST_OF_A_WORD, manufacturer="ACME"), *some(LEAST_OF_A_WORD - 1, manufacturer="DOE^JANE")],
    )
    assert set(words(ledger, "manufacturer")) == {"ACME", "DOE JANE"}
    reference = ledger.drift_references.accept(NewReference(MODEL, VERSION, DAY, DAY, DAY + 1), actor="a/b")
    assert reference is not None
    assert reference.signal("manufacturer").categories == ("ACME",)
    assert "DOE" not in str(reference.signals)


def test_counts_add_up_whatever_the_batches(ledger: Ledger) -> None:
    records = some(250)
    written(ledger, records[:130])
    written(ledger, records[130:])
    by_signal = sa.select(sa.func.sum(drift_counts.c["count"])).group_by(drift_counts.c.signal)
    with ledger.database.read() as connection:
        assert set(connection.execute(by_signal).scalars()) == {250}


def test_of_a_person_a_decade_and_a_sex_is_kept_and_nothing_else() -> None:
    tally_bins = {signal.name: signal.labels for signal in SIGNALS if signal.group == "population"}
    assert set(tally_bins) == {"age", "sex"}
    assert tally_bins["age"][:2] == ("0-9", "10-19")
    assert tally_bins["age"][-3:] == ("80+", "other", "missing")


def test_an_answer_is_kept_once_and_meets_its_truth(ledger: Ledger) -> None:
    rng = np.random.default_rng(RNG_SEED)
    records = list(readings(rng, 0, number=30))
    written(ledger, [*records, *records[:5]])
    with ledger.database.read() as connection:
        assert len(connection.execute(sa.select(drift_answers)).all()) == 30
    for one in records[:10]:
        truth = NewTruth(
            tenant="ris",
            study_key=one.study_key,
            model=MODEL,
            finding=f"{FINDING}@SCT",
            source=TruthSource.REPORT,
            reader="r",
            read_at=BEGINS,
            label=TruthLabel.PRESENT,
        )
        ledger.truths.add(truth, actor="ris")
    answers = ledger.drift_truths.answers(MODEL, VERSION, DAY)
    assert [one.is_present for one in answers[FINDING]].count(True) == 10
    (found,) = against_truth(answers, ledger.drift_truths.audits(MODEL, VERSION), DAY, DAY, 3652.0)
    assert (found.answered, found.known, found.audit) == (30, 10, None)
    assert found.discordance.said.startswith("0 of 100 studies of the reference")
