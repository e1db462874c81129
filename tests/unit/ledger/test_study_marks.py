"""A study counts once at each step of a model, however often it is seen there, and whoever was killed meanwhile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.truth import TruthLabel, TruthSource
from core.priority import Priority
from ledger import Delivery, KeptFor, Ledger, NewTruth
from observability.metrics.funnel import Step, StudyMark, marks_of
from observability.metrics.instruments import FUNNEL, TURNAROUND_SECONDS
from observability.record import Outcome
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.routed import decided
from tests.unit.ledger.studies import carry, claim_one, submit
from tests.unit.observability.metrics.test_exposition import FAILED, KEY, LIVE, SHADOW

MODEL = LIVE.records[0].model
OPENED = StudyMark(KEY, MODEL, Step.OPENED)
TRUTH = NewTruth("ris", KEY, MODEL, "1386000@SCT", TruthSource.REPORT, "reader-7", NOON, TruthLabel.PRESENT)


def funnel(ledger: Ledger) -> dict[str, float]:
    """How many studies have come to each step, once nothing that was written before can still come to light."""
    for _ in range(2):
        set_time(ledger, ledger.database.local_now() + timedelta(minutes=1))
        while ledger.metrics.fold(1.0):
            pass
    return {
        labels[1]: series.total
        for (name, labels), series in ledger.metrics.all().items()
        if name == FUNNEL.name
    }


def test_a_study_counts_once_at_each_step_however_often_it_is_read_fetched_and_told(ledger: Ledger) -> None:
    for attempt in (LIVE, replace(LIVE, job_id="j2"), SHADOW):
        ledger.study_records.add(attempt)
    for _ in range(2):
        ledger.study_marks.add([OPENED, StudyMark(KEY, MODEL, Step.DELIVERED)])
    for reader in ("a", "b"):
        ledger.truths.add(replace(TRUTH, reader=reader), actor="ris/ada")
    once = dict.fromkeys((step.value for step in Step), 1.0)
    assert funnel(ledger) == once
    ledger.study_marks.add([OPENED])
    ledger.study_records.add(replace(LIVE, job_id="j3"))
    assert funnel(ledger) == once


def test_who_is_killed_while_he_counts_has_counted_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.study_marks.add([OPENED])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(ledger.metrics, "_put", killed)
        set_time(ledger, NOON + timedelta(minutes=5))
        ledger.metrics.fold(1.0)
    assert funnel(ledger) == {"opened": 1}


@pytest.mark.parametrize("truth_first", [True, False])
def test_a_truth_confirms_a_study_that_was_read_whichever_came_first(
    ledger: Ledger, truth_first: bool
) -> None:
    def told() -> None:
        ledger.truths.add(TRUTH, actor="ris/ada")

    def read() -> None:
        ledger.study_records.add(LIVE)

    first, second = (told, read) if truth_first else (read, told)
    first()
    assert "confirmed" not in funnel(ledger)
    second()
    assert funnel(ledger) == {"eligible": 1, "processed": 1, "confirmed": 1}


def test_a_study_that_no_version_answered_is_eligible_and_one_that_none_may_read_is_not(
    ledger: Ledger,
) -> None:
    nobody = replace(LIVE, outcome=Outcome.FAILED, error_code="model-error", records=(FAILED,))
    assert [mark.step for mark in marks_of(nobody)] == [Step.ELIGIBLE]
    refused = replace(LIVE, outcome=Outcome.REFUSED, error_code="outside-intended-use", records=())
    assert list(marks_of(refused)) == []
    assert list(marks_of(SHADOW)) == []


def complete(ledger: Ledger, token: str, *deliveries: Delivery) -> None:
    ledger.leases.complete(
        token,
        result={"score": 87},
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=deliveries,
        stages_s={},
        model=MODEL,
        decisions=[decided()],
        study_key=KEY,
        record=LIVE,
    )


def test_the_first_delivery_that_is_taken_tells_the_turnaround(ledger: Ledger) -> None:
    submit(ledger, priority=Priority.STAT)
    complete(
        ledger,
        claim_one(ledger),
        Delivery("stow", "pacs", "sr"),
        Delivery("callback", "https://ris", payload={}),
    )
    first, second = carry(ledger, NOON, "a")
    for delivery, at_s in ((first, 90), (first, 95), (second, 100)):
        set_time(ledger, after(at_s))
        ledger.outbox.delivered(delivery.id)
    assert funnel(ledger)["delivered"] == 1
    series = ledger.metrics.all()[TURNAROUND_SECONDS.name, (MODEL, "stat")]
    assert (series.total, series.observed) == (90, 1)
    assert [one.trace_id for one in series.exemplars if one] == [LIVE.trace_id]


def test_a_result_that_nobody_took_and_the_news_of_a_failure_are_no_delivery(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (delivery,) = carry(ledger, NOON, "a")
    ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=None)
    submit(ledger, "1.2.4")
    ledger.leases.fail(
        claim_one(ledger),
        "model-error",
        "why",
        decisions=[decided()],
        study_key="st-2",
        deliveries_to_make=[Delivery("callback", "https://ris", payload={})],
    )
    (news,) = carry(ledger, NOON, "a")
    ledger.outbox.delivered(news.id)
    assert "delivered" not in funnel(ledger)


def test_a_job_that_has_another_ones_result_delivers_that_study(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger))
    reader = next(iter(ledger.jobs.list_jobs()[0])).id
    submit(ledger)
    ledger.leases.complete_as(
        claim_one(ledger),
        reader,
        result={},
        deliveries_to_make=[Delivery("callback", "https://ris", payload={})],
        stages_s={},
        model=MODEL,
    )
    (delivery,) = carry(ledger, after(1), "a")
    ledger.outbox.delivered(delivery.id)
    assert funnel(ledger)["delivered"] == 1


def test_marks_go_with_the_evidence(ledger: Ledger) -> None:
    ledger.study_marks.add([OPENED])
    assert funnel(ledger) == {"opened": 1}
    day = timedelta(days=1)
    set_time(ledger, NOON + 2 * day)
    assert ledger.retention.purge(KeptFor(None, None, day), actor="schedule")["evidence"] == 1
    assert funnel(ledger) == {"opened": 1}, "what was counted stays counted"
