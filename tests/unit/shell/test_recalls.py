"""A look at recalls: lists that are made, studies that join them, and what the champion is to read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.recall import SEEN_AFTER, SETTLED_AFTER, Difference
from canary.rollout.status import RolloutPhase
from core.errors import LedgerUnavailable
from ledger import NOT_KEPT, NewRecall, Reread
from serve_apps.application.routing_snapshot import RoutingSnapshot, with_freeze
from serve_apps.control.recalls import BATCH, MOST_PENDING
from serve_apps.control.snapshot_loop import SnapshotLoop
from tests.unit.ledger.conftest import NOON
from tests.unit.ledger.recalled import outcome, result_of
from tests.unit.shell.builders import a_snapshot, a_spec, a_version
from tests.unit.shell.inline import Here
from tests.unit.shell.recalled_site import CHAMPION, MODEL, RecalledSite, a_list, a_study, pending, withdrawn

DAY = timedelta(days=1)


@pytest.mark.parametrize("phase", [RolloutPhase.ROLLING_BACK, RolloutPhase.FAILED])
def test_a_run_that_goes_back_gets_its_list(phase: RolloutPhase) -> None:
    site = RecalledSite()
    ended_at = NOON if phase is RolloutPhase.FAILED else None
    site.store.unmade_runs = [withdrawn(phase=phase, ended_at=ended_at)]
    site.look()
    assert site.store.made == [NewRecall(MODEL, "2", NOON - DAY, "it is worse", 1)]


def test_what_failed_before_anybody_kept_lists_gets_none() -> None:
    site = RecalledSite()
    site.store.unmade_runs = [withdrawn(ended_at=NOON - SETTLED_AFTER - DAY)]
    site.look()
    assert site.store.made == []


def test_what_was_answered_is_listed_with_what_was_delivered() -> None:
    site = RecalledSite(a_list())
    site.studies.by_version = [a_study(1)]
    site.studies.by_its_reading = [a_study(2, job_id="other", reading_id="job-1")]
    site.look()
    items = site.store.added["r1"]
    assert [item.study.job_id for item in items] == ["job-1", "other"]
    assert items[0].delivered["version"] == "2"
    assert items[0].delivered["findings"][0]["presence"] == "absent"


def test_a_study_that_was_on_its_way_joins_the_list_later() -> None:
    site = RecalledSite(a_list())
    site.studies.by_version = [a_study(1)]
    site.look()
    site.studies.by_version.append(a_study(2))
    site.look()
    site.look()
    assert [item.study.job_id for item in site.store.added["r1"]] == ["job-1", "job-2"]


def test_many_studies_are_added_in_batches() -> None:
    site = RecalledSite(a_list())
    site.studies.by_version = [a_study(number) for number in range(2 * BATCH + 1)]
    site.look()
    assert len(site.store.added["r1"]) == 2 * BATCH + 1


def test_a_list_is_looked_for_from_where_the_last_look_ended_and_a_little_before() -> None:
    site = RecalledSite(a_list(taken_up_to=NOON))
    site.look()
    assert site.studies.asked == [(NOON - SEEN_AFTER, NOON + SETTLED_AFTER)]


def test_nothing_is_written_as_long_as_nothing_comes_within_a_minute() -> None:
    site = RecalledSite(a_list(taken_up_to=NOON))
    site.look()
    assert site.store.taken_up_to == []
    site.studies.at = NOON + 2 * SEEN_AFTER
    site.look()
    assert site.store.taken_up_to == [("r1", NOON + 2 * SEEN_AFTER, False)]


def test_a_list_is_complete_when_the_version_was_given_studies_again() -> None:
    site = RecalledSite(a_list(taken_up_to=NOON))
    site.studies.again, site.studies.at = NOON + DAY, NOON + DAY + SEEN_AFTER
    site.look()
    assert site.studies.asked == [(NOON - SEEN_AFTER, NOON + DAY)]
    assert site.store.taken_up_to == [("r1", NOON + DAY + SEEN_AFTER, True)]


def test_a_list_that_is_complete_is_not_looked_for_any_more() -> None:
    site = RecalledSite(a_list(is_complete=True))
    site.studies.by_version, site.studies.to_read = [a_study(1)], [pending(1)]
    site.look()
    assert site.studies.asked == []
    assert len(site.tasks.enqueued) == 1, "what it holds is read all the same"


def test_what_the_champion_has_read_already_is_compared_and_costs_nothing() -> None:
    site = RecalledSite(a_list())
    delivered = pending(1).delivered
    site.studies.read = [
        Reread("item-1", delivered, "1", outcome("1", "present")),
        Reread("item-2", delivered, "1", outcome("1", "absent")),
        Reread("item-3", delivered, "1", None, "study-not-found"),
        Reread("item-4", delivered, "9", outcome("9", "present")),
    ]
    site.look()
    assert site.store.differences == {"item-1": Difference.CRITICAL, "item-2": Difference.NONE}
    assert site.store.codes == {"item-3": "study-not-found"}
    assert site.tasks.enqueued == []


def test_a_study_that_nobody_has_read_again_becomes_a_task_that_delivers_nothing() -> None:
    site = RecalledSite(a_list())
    site.studies.to_read = [pending(1)]
    site.look()
    ((job, task, key),) = site.tasks.enqueued
    assert (job, key) == ("job-1", "st-1")
    assert (task.role, task.version, task.app) == ("recall", "1", CHAMPION.app_name)
    assert (task.study.study_uid, task.study.series_uids) == ("1.2.1", ("1.2.1.1",))
    assert task.rule["modalities"] == list(a_spec().input.series.modalities)
    assert task.delivered["version"] == "2"
    assert task.decision.digest == CHAMPION.digest


def test_a_result_that_the_champion_gave_another_job_is_taken_at_once() -> None:
    site = RecalledSite(a_list())
    site.studies.to_read = [pending(1), pending(2)]
    site.studies.results = [
        result_of("3", "absent", "1.2.1"),
        result_of("1", "present", "1.2.1"),
        result_of("1", "present", "1.2.2", series_uid="1.2.2.7"),
    ]
    site.look()
    assert site.store.differences == {"item-1": Difference.CRITICAL}
    assert [job for job, _, _ in site.tasks.enqueued] == ["job-2"], "another series is another reading"


def test_a_study_that_cannot_be_named_any_more_stands_with_the_reason() -> None:
    site = RecalledSite(a_list())
    site.studies.to_read = [pending(1, study=None, series_uid=""), pending(2, delivered={})]
    site.look()
    assert site.store.codes == {"item-1": NOT_KEPT, "item-2": NOT_KEPT}
    assert site.tasks.enqueued == []


def test_a_study_whose_decision_is_gone_stands_with_the_reason() -> None:
    site = RecalledSite(a_list())
    site.studies.to_read, site.studies.decided = [pending(1)], None
    site.look()
    assert site.store.codes == {"item-1": NOT_KEPT}


def test_an_outcome_without_what_was_delivered_is_not_compared() -> None:
    site = RecalledSite(a_list())
    site.studies.read = [Reread("item-1", {}, "1", outcome("1", "present"))]
    site.look()
    assert (site.store.differences, site.store.codes) == ({}, {"item-1": NOT_KEPT})


def test_few_studies_are_read_at_a_time() -> None:
    site = RecalledSite(a_list())
    site.studies.to_read = [pending(number) for number in range(3 * MOST_PENDING)]
    site.studies.tasks = MOST_PENDING - 3
    site.look()
    assert len(site.tasks.enqueued) == 3
    site.studies.tasks = MOST_PENDING
    site.look()
    assert len(site.tasks.enqueued) == 3


def test_a_frozen_site_lists_and_compares_and_begins_no_reading() -> None:
    site = RecalledSite(a_list())
    site.snapshot = with_freeze(site.snapshot, frozen=True)
    site.studies.by_version, site.studies.to_read = [a_study(1)], [pending(1)]
    site.studies.read = [Reread("item-2", pending(2).delivered, "1", outcome())]
    site.look()
    assert len(site.store.added["r1"]) == 1
    assert site.store.differences == {"item-2": Difference.CRITICAL}
    assert site.tasks.enqueued == []
    site.snapshot = with_freeze(site.snapshot, frozen=False)
    site.look()
    assert len(site.tasks.enqueued) == 1


@pytest.mark.parametrize(
    "snapshot",
    [a_snapshot(a_version("2")), a_snapshot(a_version("1", "other")), replace(a_snapshot(), endpoints={})],
    ids=["the withdrawn one", "nobody", "one that is not served"],
)
def test_nothing_is_compared_while_no_other_version_is_champion(snapshot: RoutingSnapshot) -> None:
    site = RecalledSite(a_list())
    site.snapshot = snapshot
    site.studies.by_version, site.studies.to_read = [a_study(1)], [pending(1)]
    site.studies.read = [Reread("item-2", pending(2).delivered, "2", outcome("2"))]
    site.look()
    assert len(site.store.added["r1"]) == 1
    assert (site.store.differences, site.tasks.enqueued, site.studies.dropped) == ({}, [], [])


def test_another_champion_reads_what_the_former_one_was_to_read() -> None:
    site = RecalledSite(a_list())
    site.snapshot = a_snapshot(a_version("3"))
    site.look()
    assert site.studies.dropped == [(MODEL, a_version("3").app_name)]


def test_a_list_that_fails_holds_up_no_other() -> None:
    site = RecalledSite(a_list("broken"), a_list("r2"))
    site.studies.error = ValueError("damaged")
    site.studies.by_version = [a_study(1)]
    site.look()
    assert site.store.added.keys() == {"r2"}


def test_a_result_of_another_form_is_listed_without_what_it_says() -> None:
    site = RecalledSite(a_list())
    site.studies.by_version = [a_study(1, result={"score": 87})]
    site.look()
    assert [item.delivered for item in site.store.added["r1"]] == [{}]


class Around:
    """The controller around the loop."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: Exception | None = None
        self.snapshot, self.leads = a_snapshot(), True
        self.loop = SnapshotLoop("recalls", self._look, lambda: self.snapshot, lambda: self.leads, Here())

    def _look(self, snapshot: RoutingSnapshot) -> None:
        self.looks += 1
        if self.error is not None:
            raise self.error


async def test_only_the_controller_that_leads_and_has_published_looks() -> None:
    around = Around()
    await around.loop.once()
    around.leads = False
    await around.loop.once()
    around.leads, around.snapshot = True, RoutingSnapshot()
    await around.loop.once()
    assert around.looks == 1


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), ValueError("damaged")])
async def test_a_look_that_fails_is_made_up_for_by_the_next(error: Exception) -> None:
    around = Around()
    around.error = error
    await around.loop.once()
    around.error = None
    await around.loop.once()
    assert around.looks == 2
