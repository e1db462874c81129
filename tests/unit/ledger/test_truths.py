"""Truths in the ledger: told once, kept as history, judged with the pairs that they are about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from canary.adjudication import draw_of
from canary.paired_truth import Stratum
from canary.truth import TruthLabel, TruthSource
from core.errors import AdjudicationNotFound, AlreadyAnswered, TruthNotFound
from ledger import AnsweredAdjudication, KeptFor, Ledger, pairs
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.paired import ICH, SHARE, read_twice, says, told

PRESENT, ABSENT = TruthLabel.PRESENT, TruthLabel.ABSENT
PATHOLOGY = TruthSource.PATHOLOGY
SECRET = ("reader-7", "a word about Anna")
DAY = timedelta(days=1)
VERSIONS = ("1", "2", "3")
IN_SAMPLE = next(f"pt-{n}" for n in range(999) if draw_of("ich", f"pt-{n}") < SHARE)
NOT_IN_SAMPLE = next(f"pt-{n}" for n in range(999) if draw_of("ich", f"pt-{n}") >= SHARE)


def queue(ledger: Ledger, tenant: str | None = None, limit: int = 9) -> list[str]:
    """The study UIDs that are to be read again."""
    ledger.pairs.collect("ich", SHARE)
    items = ledger.adjudications.open_items("ich", VERSIONS, limit, tenant=tenant)
    assert ledger.adjudications.open_number("ich", VERSIONS, tenant=tenant) >= len(items)
    return [item.id for item in items]


def answer(
    ledger: Ledger,
    item: str,
    label: TruthLabel = PRESENT,
    reader: str = "reader-7",
    tenant: str | None = None,
) -> AnsweredAdjudication:
    return ledger.adjudications.answer(
        item, label, reader=reader, read_at=NOON, note=None, tenant=tenant, actor="ris/ada"
    )


def test_a_truth_is_kept_before_its_study_is_read_and_told_twice_is_one(ledger: Ledger) -> None:
    first = ledger.truths.add(told(note=SECRET[1]), actor="ris/ada")
    set_time(ledger, after(60))
    again = ledger.truths.add(told(note=SECRET[1]), actor="other")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.truth == first.truth
    assert ledger.truths.of_study("st-pt-1", tenant="ris") == (first.truth,)
    (row,) = ledger.audit.rows()
    assert (row.actor, row.action, row.subject) == ("ris/ada", "truth.add", first.truth.id)
    assert not [word for word in (*SECRET, "st-pt-1", "present") if word in str(row.detail)]
    assert not [word for word in SECRET if word in repr(first)]


def test_whatever_differs_is_another_truth_and_the_history_stays(ledger: Ledger) -> None:
    for new in (told(), told(ABSENT), told(read_at=after(1)), told(reader="b"), told(source=PATHOLOGY)):
        assert ledger.truths.add(new, actor="a").is_new
    kept = ledger.truths.of_study("st-pt-1", tenant="ris")
    assert [truth.told.sequence for truth in kept] == [1, 2, 3, 4, 5]


def test_another_tenant_sees_and_withdraws_nothing(ledger: Ledger) -> None:
    mine = ledger.truths.add(told(), actor="a").truth
    assert ledger.truths.of_study("st-pt-1", tenant="north") == ()
    assert ledger.truths.of_study("st-pt-1", tenant=None) == (mine,)
    for study, tenant in (("st-pt-1", "north"), ("st-pt-2", "ris")):
        with pytest.raises(TruthNotFound):
            ledger.truths.withdraw(mine.id, study, tenant=tenant, actor="a")


def test_a_withdrawn_truth_stays_and_does_not_come_back(ledger: Ledger) -> None:
    truth = ledger.truths.add(told(), actor="a").truth
    for seconds in (60, 120):
        set_time(ledger, after(seconds))
        gone = ledger.truths.withdraw(truth.id, "st-pt-1", tenant="ris", actor="b")
        assert gone.told.withdrawn_at == after(60)
    assert not ledger.truths.add(told(), actor="a").is_new
    assert [row.action for row in ledger.audit.rows()] == ["truth.withdraw", "truth.add"]


def test_a_pair_and_its_truth_make_an_outcome_whichever_comes_first(ledger: Ledger) -> None:
    ledger.truths.add(told(study="pt-1"), actor="a")
    read_twice(ledger, "pt-1", shadow=says("2", "absent"), at=after(60))
    read_twice(ledger, "pt-2", at=after(61))
    ledger.pairs.collect("ich", SHARE)
    set_time(ledger, after(90))
    ledger.truths.add(told(ABSENT, "pt-2"), actor="a")
    one, other = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert (one.patient, one.champion_correct, one.candidate_correct) == ("pt-1", True, False)
    assert (other.patient, other.champion_correct, other.candidate_correct) == ("pt-2", False, False)
    assert (one.arrived_at, other.arrived_at) == (after(61), after(90))
    assert one.stratum == Stratum("north", "CT", "CT-2")
    assert one.inclusion_probability == other.inclusion_probability == 1.0
    assert ledger.paired_truths.outcomes("ich", "1", "2", ICH, after(61)) == (one,)
    assert ledger.paired_truths.outcomes("ich", "2", "1", ICH) == ()
    assert ledger.paired_truths.findings("ich", "1", "2") == (ICH,)


def test_the_safety_net_gives_the_same_pair_as_the_shadow(ledger: Ledger) -> None:
    """In the canary the candidate answers and the champion reads beside it."""
    read_twice(ledger, delivered=says("2", "absent"), shadow=says("1", "present"), role="safety-net")
    ledger.pairs.collect("ich", SHARE)
    ledger.truths.add(told(), actor="a")
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert (outcome.champion_correct, outcome.candidate_correct) == (True, False)


def test_a_patient_counts_by_the_first_study(ledger: Ledger) -> None:
    read_twice(ledger, study="first")
    read_twice(ledger, study="second", shadow=says("2", "absent"), at=after(1))
    ledger.pairs.collect("ich", SHARE)
    read_twice(ledger, study="third", shadow=says("2", "absent"), at=after(2))
    assert ledger.pairs.collect("ich", SHARE) == 0
    for study in ("first", "second", "third"):
        ledger.truths.add(told(study=study), actor="a")
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert outcome.candidate_correct


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("model-error", True),
        ("deadline-exceeded", True),
        ("input-out-of-distribution", True),
        ("source-unavailable", False),
        ("discarded", False),
        ("model-unavailable", False),
    ],
)
def test_a_version_that_has_no_result_is_wrong_unless_it_is_not_its_own_fault(
    ledger: Ledger, code: str, counts: bool
) -> None:
    read_twice(ledger, shadow=code)
    assert ledger.pairs.collect("ich", SHARE) == counts
    ledger.truths.add(told(), actor="a")
    outcomes = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert [(o.champion_correct, o.candidate_correct) for o in outcomes] == [(True, False)] * counts


def test_a_truth_counts_for_what_its_own_tenant_had_read(ledger: Ledger) -> None:
    read_twice(ledger)
    ledger.pairs.collect("ich", SHARE)
    ledger.truths.add(told(tenant="north"), actor="a")
    assert ledger.paired_truths.outcomes("ich", "1", "2", ICH) == ()


def test_measured_values_are_told_as_errors_and_are_not_queued(ledger: Ledger) -> None:
    volume = ("12738006@SCT", 104.0)
    read_twice(
        ledger,
        delivered={"version": "1", "findings": [], "measurements": [volume]},
        shadow={"version": "2", "findings": [], "measurements": [("12738006@SCT", 95.5)]},
    )
    assert queue(ledger) == []
    ledger.truths.add(told(None, finding=volume[0], value=100.0, unit="ml"), actor="a")
    (outcome,) = ledger.paired_truths.measured("ich", "1", "2", volume[0])
    assert (outcome.champion_error, outcome.candidate_error) == (4.0, -4.5)


def test_the_queue_asks_about_all_who_differ_and_the_sample_of_the_others(ledger: Ledger) -> None:
    read_twice(ledger, "pt-differs", shadow=says("2", "absent"))
    read_twice(ledger, IN_SAMPLE, at=after(1))
    read_twice(ledger, NOT_IN_SAMPLE, at=after(2))
    assert len(queue(ledger)) == 2
    assert len(queue(ledger, limit=1)) == 1
    counts = ledger.pairs.counts("ich", NOON, tenant=None)
    assert (counts.pairs, counts.discordant, counts.first_at) == (3, 1, NOON)
    assert ledger.adjudications.open_items("ich", ("1", "3"), 9, tenant=None) == (), "no such pair"


def test_an_item_names_its_study_and_nothing_that_unblinds(ledger: Ledger) -> None:
    job = read_twice(ledger, shadow=says("2", "absent"))
    ledger.pairs.collect("ich", SHARE)
    (item,) = ledger.adjudications.open_items("ich", VERSIONS, 9, tenant="ris")
    assert item.study_uid == ledger.jobs.get(job).study.study_uid
    assert {"champion", "candidate", "arms", "inclusion_probability"}.isdisjoint(item.__slots__)
    assert item.study_uid not in repr(item)
    assert item.meaning == "Intracranial hemorrhage"


def test_an_answer_becomes_a_truth_and_only_then_the_arms_are_told(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    set_time(ledger, after(60))
    answered = answer(ledger, item)
    assert sorted(answered.arms.values()) == [("1", "present"), ("2", "absent")]
    assert sorted(answered.arms) == ["A", "B"]
    (truth,) = ledger.truths.of_study("st-pt-1", tenant="ris")
    assert (truth.told.source, truth.pair_id) == (TruthSource.ADJUDICATION, item)
    assert queue(ledger) == []
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert (outcome.inclusion_probability, outcome.arrived_at) == (1.0, after(60))


def test_one_of_the_sample_weighs_by_its_probability(ledger: Ledger) -> None:
    read_twice(ledger, IN_SAMPLE)
    (item,) = queue(ledger)
    answer(ledger, item)
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert outcome.inclusion_probability == SHARE


def test_the_same_answer_changes_nothing_and_another_is_refused(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    first = answer(ledger, item)
    assert answer(ledger, item) == first
    for label, reader in ((ABSENT, "reader-7"), (PRESENT, "reader-8")):
        with pytest.raises(AlreadyAnswered):
            answer(ledger, item, label, reader)
    assert len(ledger.truths.of_study("st-pt-1", tenant=None)) == 1


def test_an_answer_that_is_withdrawn_is_asked_for_again(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    wrong = answer(ledger, item).truth
    ledger.truths.withdraw(wrong.id, "st-pt-1", tenant="ris", actor="a")
    assert queue(ledger) == [item]
    answer(ledger, item, ABSENT, "reader-8")
    (outcome,) = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert outcome.truth is ABSENT


def test_another_tenants_item_is_no_item(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    assert queue(ledger, "north") == []
    (item,) = queue(ledger, "ris")
    with pytest.raises(AdjudicationNotFound):
        answer(ledger, item, tenant="north")


def test_who_was_not_selected_is_not_answered(ledger: Ledger) -> None:
    read_twice(ledger, NOT_IN_SAMPLE)
    assert queue(ledger) == []
    (known,) = ledger.paired_truths._pairs("ich", "1", "2", ICH)
    with pytest.raises(AdjudicationNotFound):
        answer(ledger, known[0].id)


def test_many_outcomes_are_taken_in_pieces_and_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "BATCH_SIZE", 2)
    for number in range(7):
        read_twice(ledger, f"pt-{number}", at=after(number // 3))
    assert ledger.pairs.collect("ich", SHARE) == 7
    assert ledger.pairs.collect("ich", SHARE) == 0
    read_twice(ledger, "pt-late", at=after(1))
    assert ledger.pairs.collect("ich", SHARE) == 1, "an outcome that was seen late is taken all the same"


def test_a_pair_stays_as_it_was_chosen_when_the_share_changes(ledger: Ledger) -> None:
    read_twice(ledger, NOT_IN_SAMPLE)
    ledger.pairs.collect("ich", SHARE)
    ledger.pairs.collect("ich", 1.0)
    (known,) = ledger.paired_truths._pairs("ich", "1", "2", ICH)
    assert (known[0].is_selected, known[0].inclusion_probability) == (False, SHARE)


def test_late_truth_after_the_jobs_are_gone_still_counts(ledger: Ledger) -> None:
    read_twice(ledger, shadow=says("2", "absent"))
    (item,) = queue(ledger)
    set_time(ledger, NOON + 2 * DAY)
    ledger.retention.purge(KeptFor(DAY, DAY, None), actor="a")
    assert queue(ledger) == [], "nobody can be told which study it was"
    answer(ledger, item)
    assert len(ledger.paired_truths.outcomes("ich", "1", "2", ICH)) == 1


def test_a_note_goes_with_what_names_a_study_and_the_rest_with_the_evidence(ledger: Ledger) -> None:
    read_twice(ledger)
    ledger.pairs.collect("ich", SHARE)
    ledger.truths.add(told(note=SECRET[1]), actor="a")
    set_time(ledger, NOON + 2 * DAY)
    assert ledger.retention.purge(KeptFor(None, DAY, None), actor="a")["notes"] == 1
    (truth,) = ledger.truths.of_study("st-pt-1", tenant=None)
    assert truth.note is None
    ledger.retention.purge(KeptFor(None, None, DAY), actor="a")
    assert ledger.truths.of_study("st-pt-1", tenant=None) == ()
    assert ledger.paired_truths.findings("ich", "1", "2") == ()


def test_every_change_of_what_evidence_takes_is_counted_and_nothing_else_is(ledger: Ledger) -> None:
    def changes() -> int:
        return ledger.paired_truths.changes().get("ich", 0)

    assert changes() == 0
    read_twice(ledger)
    assert changes() == 0, "no study waits for it"
    seen = []
    for _ in range(2):
        ledger.pairs.collect("ich", SHARE)
        seen.append(changes())
    truth = ledger.truths.add(told(), actor="a").truth
    seen.append(changes())
    ledger.truths.add(told(), actor="a")
    seen.append(changes())
    for _ in range(2):
        ledger.truths.withdraw(truth.id, "st-pt-1", tenant="ris", actor="a")
        seen.append(changes())
    assert seen == [1, 1, 2, 2, 3, 3]


def test_the_same_ledger_gives_the_same_outcomes_in_the_same_order(ledger: Ledger, ledger_url: str) -> None:
    for number in range(6):
        read_twice(ledger, f"pt-{number}", shadow=says("2", "absent"), at=after(number))
        ledger.pairs.collect("ich", SHARE)
    for number in (4, 1, 5, 0):
        set_time(ledger, after(100 - number))
        ledger.truths.add(told(study=f"pt-{number}"), actor="a")
    before = ledger.paired_truths.outcomes("ich", "1", "2", ICH)
    assert [outcome.patient for outcome in before] == ["pt-5", "pt-4", "pt-1", "pt-0"]
    set_time(ledger, after(200))
    ledger.truths.add(told(ABSENT, "pt-4", PATHOLOGY), actor="a")
    reopened = Ledger.open(ledger_url, clock=lambda: after(300))
    assert reopened.paired_truths.outcomes("ich", "1", "2", ICH, after(199)) == before
    now = reopened.paired_truths.outcomes("ich", "1", "2", ICH)
    assert [outcome.patient for outcome in now] == ["pt-5", "pt-1", "pt-0", "pt-4"]
    reopened.close()
