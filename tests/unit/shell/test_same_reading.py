"""A study that comes twice is read once: at the same time, or later; unless somebody forces it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from canary.gates import SitePolicy
from canary.input_check import InputPolicy, InputRule
from canary.routing_table import BASIS_POINTS
from core.errors import ModelFailed
from core.study import StudyRef
from ledger import Job, JobState
from serve_apps.application.messages import JobOutcome
from serve_apps.application.same_reading import LOOK_AGAIN_S, ReadingRules, reading_key
from serve_apps.resources import Resources
from tests.unit.shell.builders import a_snapshot, a_spec, a_variant, a_version
from tests.unit.shell.inline import settle
from tests.unit.shell.worker_fakes import Workshop, a_job, a_study

STUDY = StudyRef("pacs", "1.2.3")
FIRST, SECOND = a_job("j1", study=STUDY), a_job("j2", study=STUDY)
CHAMPION, CANARY = a_version("1"), a_version("2")


async def read(shop: Workshop, job: Job) -> JobOutcome:
    return await shop.runner.run(job.id, job.place)


def model_calls(shop: Workshop) -> list[str]:
    return [version for version, _ in shop.deployments.predictions]


async def test_a_study_that_comes_again_gets_the_first_result() -> None:
    shop = Workshop(FIRST, SECOND)
    first, second = [await read(shop, job) for job in (FIRST, SECOND)]
    assert model_calls(shop) == ["1"]
    assert first.result is not None
    assert second.result == {**first.result, "same_as": "j1"}
    assert second.state is JobState.COMPLETED
    assert shop.ledger.rows["j2"].same_as == "j1"


async def test_nothing_is_counted_stored_shadowed_or_traced_for_it() -> None:
    shop = Workshop(FIRST, SECOND)
    for job in (FIRST, SECOND):
        await read(shop, job)
    (_, _), (call, written) = shop.ledger.written
    assert call == "complete_as"
    assert written["deliveries_to_make"] == ()
    assert "decisions" not in written
    assert "shadows" not in written
    assert shop.recorded == ["completed"]
    assert shop.notes.told == [("ended", "j1"), ("ended", "j2")]


async def test_a_caller_who_asked_to_be_called_back_is_called_back() -> None:
    second = replace(SECOND, callback="https://ris/done")
    shop = Workshop(FIRST, second)
    for job in (FIRST, second):
        await read(shop, job)
    (delivery,) = shop.ledger.written[-1][1]["deliveries_to_make"]
    assert (delivery.kind, delivery.payload["result"]["same_as"]) == ("callback", "j1")
    assert shop.ledger.rows["j2"].state is JobState.STORING


async def test_two_at_once_are_one_reading_and_the_one_that_waits_lends_its_slot() -> None:
    third = a_job("j9")
    shop = Workshop(FIRST, SECOND, third, slots=2)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    waiting = [shop.begin(job) for job in (FIRST, SECOND)]
    await settle()
    other = shop.begin(third)
    await settle()
    assert model_calls(shop) == ["1", "1"], "the first study, and the third in the second's slot"
    gate.set()
    first, second = await asyncio.gather(*waiting)
    await other
    assert second.result == {**first.result, "same_as": "j1"}
    assert set(shop.slept) == {LOOK_AGAIN_S}


async def test_a_reading_that_fails_is_made_by_the_one_that_waited() -> None:
    shop = Workshop(FIRST, SECOND, slots=2)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    shop.deployments.predict_errors["1"] = [ModelFailed("it cannot")]
    waiting = [shop.begin(job) for job in (FIRST, SECOND)]
    await settle()
    gate.set()
    first, second = await asyncio.gather(*waiting)
    assert (first.state, second.state) == (JobState.QUEUED, JobState.COMPLETED)
    assert second.result is not None
    assert second.result["same_as"] is None


async def test_who_forces_it_has_it_read_again() -> None:
    forced = replace(SECOND, force=True)
    shop = Workshop(FIRST, forced)
    for job in (FIRST, forced):
        await read(shop, job)
    assert model_calls(shop) == ["1", "1"]
    assert [call for call, _ in shop.ledger.written] == ["complete", "complete"]


async def test_a_promoted_version_reads_it_again() -> None:
    shop = Workshop(FIRST, SECOND)
    await read(shop, FIRST)
    shop.snapshot = a_snapshot(CANARY)
    await read(shop, SECOND)
    assert model_calls(shop) == ["1", "2"]


async def test_a_canary_that_failed_it_is_not_asked_again_for_the_same() -> None:
    drawn = a_snapshot(CHAMPION, canary=CANARY, weight_bp=BASIS_POINTS)
    shop = Workshop(FIRST, SECOND, a_job("j3", study=STUDY), snapshot=drawn)
    shop.deployments.predict_errors["2"] = [ModelFailed("it cannot")]
    first = await read(shop, FIRST)
    again = await read(shop, SECOND)
    assert first.result is not None
    assert first.result["model"]["version"] == "1"
    assert again.result == {**first.result, "same_as": "j1"}
    assert model_calls(shop) == ["2", "1"]
    assert shop.ledger.written[0][1]["reading"] is not None, "the champion has read it too"


RULES = ReadingRules(a_snapshot(CHAMPION), SitePolicy.RESEARCH)
KEY = reading_key(STUDY, a_study(), a_variant(CHAMPION), RULES)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"research_only": False}, "a clearance"),
        ({"regulatory_status": "cleared"}, "a status"),
        ({"digest": "d" * 64}, "an artifact"),
        ({"spec": a_spec(priority=())}, "a card"),
    ],
)
def test_a_changed_rule_is_another_reading(changed: dict[str, Any], what: str) -> None:
    version = replace(CHAMPION, **changed)
    rules = replace(RULES, snapshot=a_snapshot(version))
    assert reading_key(STUDY, a_study(), a_variant(version), rules) != KEY, what


def test_so_is_another_policy_study_source_or_content() -> None:
    variant = a_variant(CHAMPION)
    others = {
        reading_key(STUDY, a_study(), variant, replace(RULES, policy=SitePolicy.STRICT)),
        reading_key(STUDY, a_study(), variant, replace(RULES, input_policy=InputPolicy(InputRule.NOTE))),
        reading_key(STUDY, a_study(), variant, replace(RULES, input_policy=InputPolicy(is_required=True))),
        reading_key(StudyRef("archive", "1.2.3"), a_study(), variant, RULES),
        reading_key(StudyRef("pacs", "1.2.4"), a_study(), variant, RULES),
        reading_key(STUDY, replace(a_study(), content_digest="d" * 64), variant, RULES),
    }
    assert len(others | {KEY}) == 7


def test_the_same_version_under_another_name_and_with_other_resources_is_the_same_reading() -> None:
    roomy = replace(CHAMPION, resources=Resources(num_cpus=4))
    rules = replace(RULES, snapshot=a_snapshot(roomy))
    assert reading_key(STUDY, a_study(), a_variant(roomy, "canary"), rules) == KEY
