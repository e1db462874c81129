"""What MLflow's pages say of versions and models, and that nobody's words are lost when it is written."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.target import Target
from registry.client import RegisteredModel
from serve_apps.application.routing_snapshot import VariantState, VariantStatus
from serve_apps.control.page_writer import AGAIN_S, LONGEST_DESCRIPTION, PageWriter
from serve_apps.control.pages import (
    NO_ROLE,
    REASON_TAG,
    STATE_TAG,
    Key,
    Pages,
    RolloutPage,
    VersionPage,
    line_in,
    pages_of,
    with_line,
)
from serve_apps.control.rollout_told import PHASE_TAG, ROLLOUT_TAGS, RUN_TAG
from tests.unit.shell.control_fakes import MODEL, Clock, FakeMlflow
from tests.unit.shell.controller_site import ControllerSite
from tests.unit.shell.inline import Here

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
WARM = VersionPage(
    "warm as champion", "ready: answers as champion", "champion, answers 100 % of the patients."
)


# ---- the line


@given(
    before=st.text(), line=st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60).map(str.strip)
)
def test_the_owners_words_stay_as_they_are(before: str, line: str) -> None:
    described = with_line(before, line, NOON)
    assert line_in(described) == line
    again = with_line(described, "another line.", NOON)
    if not line_in(before):
        assert (
            again
            == f"**Serinus:** another line. Since 2026-05-01 12:00 UTC.{chr(10) * 2 + before if before else ''}"
        )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_our_line_is_replaced_where_the_owner_has_put_it(newline: str) -> None:
    described = newline.join(["# Bleeds", "**Serinus:** old words.", "", "by Ada"])
    expected = newline.join(["# Bleeds", "**Serinus:** new. Since 2026-05-01 12:00 UTC.", "", "by Ada"])
    assert with_line(described, "new.", NOON) == expected


# ---- what is said


def test_the_page_of_a_refused_version_says_why() -> None:
    row = VariantStatus(
        MODEL, "9", "challenger", VariantState.REFUSED, reason="the digest is not\nthe signed one"
    )
    page = pages_of(Target(()), [row], frozen=False).versions[MODEL, "9"]
    assert page.line == "challenger, but refused and never loaded: the digest is not the signed one."


def test_a_version_with_two_roles_names_both() -> None:
    rows = [
        VariantStatus(MODEL, "2", role, VariantState.WARM, reason="ready")
        for role in ("challenger", "shadow-a")
    ]
    assert (
        pages_of(Target(()), rows, frozen=False).versions[MODEL, "2"].state == "warm as challenger, shadow-a"
    )


@pytest.fixture
def site() -> ControllerSite:
    return ControllerSite(rollback_window_s=100.0, scale_down_delay_s=10.0)


def line_of(site: ControllerSite, version: str) -> str:
    return line_in(site.mlflow.descriptions[MODEL, version])


async def test_both_pages_tell_a_canary_and_its_share(site: ControllerSite) -> None:
    site.mlflow.descriptions[MODEL, "2"] = "Trained on phantoms."
    await site.settled_canary(500)
    await site.tick(2)
    assert line_of(site, "1") == "champion, answers 95 % of the patients."
    assert line_of(site, "2") == (
        "challenger, answers 5 % of the patients as canary and reads 100 % of the studies as a shadow."
    )
    assert site.mlflow.descriptions[MODEL, "2"].endswith("\n\nTrained on phantoms.")
    assert line_in(site.mlflow.model_descriptions[MODEL]) == (
        "version 1 answers 95 % of the patients; version 2 answers 5 % of the patients as canary; as shadows read: 2."
    )


async def test_a_version_that_lost_its_role_says_until_when_it_is_kept_and_then_that_it_has_none(
    site: ControllerSite,
) -> None:
    await site.settled_canary(500)
    site.mlflow.alias("champion", "2")
    await site.tick(3)
    assert line_of(site, "2").startswith("challenger, ") or line_of(site, "2").startswith(
        "champion, answers 100 %"
    )
    tags = site.mlflow.tags[MODEL, "1"]
    assert tags[STATE_TAG] == "kept warm as former champion"
    assert tags[REASON_TAG].startswith("kept warm until ")
    site.clock.now += 200.0
    await site.tick(3)
    site.clock.now += 60.0
    await site.tick(3)
    assert (tags[STATE_TAG], line_of(site, "1")) == (NO_ROLE.state, NO_ROLE.line)


async def test_a_freeze_stands_on_the_models_page(site: ControllerSite) -> None:
    await site.settled_canary(500)
    site.control.frozen = True
    await site.tick(2)
    assert line_in(site.mlflow.model_descriptions[MODEL]).startswith(
        "**routing is frozen**: version 1 answers everybody"
    )
    assert line_of(site, "1") == "champion, answers 100 % of the patients."
    assert line_of(site, "2") == "challenger, reads nothing while routing is frozen."
    assert site.mlflow.tags[MODEL, "2"][REASON_TAG].startswith("ready: reads nothing while routing is frozen")
    site.control.frozen = False
    await site.tick(2)
    assert "frozen" not in line_in(site.mlflow.model_descriptions[MODEL])


async def test_the_page_of_a_version_that_failed_says_why(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    site.serve.refuses[f"mv-{MODEL}-1"] = "no such label"
    await site.tick(6)
    assert "it cannot be started, which is tried again: Serve refused: no such label" in line_of(site, "1")


async def test_a_page_that_stands_is_not_written_again_also_not_by_the_next_controller(
    site: ControllerSite,
) -> None:
    await site.settled_canary(500)
    await site.tick(3)
    described = dict(site.mlflow.descriptions)
    site.mlflow.calls.clear()
    site.kill()
    await site.tick(5)
    assert {"set_tag", "describe_version", "describe_model"}.isdisjoint(site.mlflow.calls)
    assert site.mlflow.descriptions == described, "the time since when it is so stays"


async def test_a_line_that_the_owner_deleted_comes_back(site: ControllerSite) -> None:
    await site.settled_canary(500)
    await site.tick(3)
    site.mlflow.descriptions[MODEL, "1"] = "my words"
    await site.tick(5)
    assert line_of(site, "1").startswith("champion")
    assert site.mlflow.descriptions[MODEL, "1"].endswith("\n\nmy words")


# ---- how it is written


class Written:
    def __init__(self) -> None:
        self.mlflow, self.clock = FakeMlflow(), Clock()
        for version in ("1", "2"):
            self.mlflow.register(version)
        self.rollouts: dict[Key, RolloutPage] | None = {}
        self.pages = PageWriter(self.mlflow, Here(), lambda: NOON, self.clock, lambda: self.rollouts)

    async def write(self, **versions: VersionPage) -> None:
        named = {(MODEL, key.removeprefix("v")): page for key, page in versions.items()}
        model = RegisteredModel(MODEL, {}, self.mlflow.model_descriptions.get(MODEL, ""))
        self.pages.write(Pages(named, {MODEL: "version 1 answers all."}), {MODEL: model})
        for _ in range(5):
            await asyncio.sleep(0)


async def test_what_mlflow_did_not_take_is_tried_again_a_while_later() -> None:
    site = Written()
    site.mlflow.away = True
    await site.write(v1=WARM)
    site.mlflow.away = False
    await site.write(v1=WARM)
    assert STATE_TAG not in site.mlflow.tags[MODEL, "1"]
    site.clock.now += AGAIN_S
    await site.write(v1=WARM)
    assert site.mlflow.tags[MODEL, "1"][STATE_TAG] == "warm as champion"


async def test_a_deleted_version_keeps_no_other_from_its_page() -> None:
    site = Written()
    for _ in range(3):
        await site.write(v0=WARM, v2=WARM)
    assert site.mlflow.tags[MODEL, "2"][STATE_TAG] == "warm as champion"
    assert site.mlflow.calls.count("version") == 2, "one in vain, one that stands"


async def test_a_description_without_room_is_left_alone_and_the_tags_tell_all_the_same() -> None:
    site = Written()
    full = "x" * (LONGEST_DESCRIPTION - 3)
    site.mlflow.descriptions[MODEL, "1"] = full
    await site.write(v1=WARM)
    assert site.mlflow.descriptions[MODEL, "1"] == full
    assert site.mlflow.tags[MODEL, "1"][STATE_TAG] == "warm as champion"


async def test_tags_that_were_copied_from_another_model_are_put_right() -> None:
    """MLflow copies all tags of a version that is promoted into another model."""
    site = Written()
    site.mlflow.tags[MODEL, "2"] |= {STATE_TAG: "warm as champion", REASON_TAG: "answers"}
    site.pages.take_listing({MODEL: {v.version: v for v in site.mlflow.versions(MODEL)}})
    await site.write(v1=WARM)
    assert site.mlflow.tags[MODEL, "2"][STATE_TAG] == "no role"


# ---- rollouts

UNDER_WAY = RolloutPage(
    {PHASE_TAG: "Progressing", RUN_TAG: "run-1"}, "its rollout is Progressing", "a rollout is Progressing"
)


async def test_a_rollout_is_told_on_the_page_of_its_candidate_and_of_the_model() -> None:
    site = Written()
    site.rollouts = {(MODEL, "2"): UNDER_WAY}
    await site.write(v1=WARM, v2=WARM)
    assert site.mlflow.tags[MODEL, "2"][PHASE_TAG] == "Progressing"
    assert set(ROLLOUT_TAGS).isdisjoint(site.mlflow.tags[MODEL, "1"])
    line = line_in(site.mlflow.descriptions[MODEL, "2"])
    assert line == "champion, answers 100 % of the patients; its rollout is Progressing."
    of_model = line_in(site.mlflow.model_descriptions[MODEL])
    assert of_model == "version 1 answers all; a rollout is Progressing."
    site.mlflow.calls.clear()
    await site.write(v1=WARM, v2=WARM)
    assert site.mlflow.calls == []


async def test_a_rollout_that_ended_is_told_of_a_version_without_a_role() -> None:
    site = Written()
    site.rollouts = {(MODEL, "2"): replace(UNDER_WAY, of_model="")}
    await site.write()
    assert line_in(site.mlflow.descriptions[MODEL, "2"]) == (
        "no role: it reads nothing; its rollout is Progressing."
    )
    assert line_in(site.mlflow.model_descriptions[MODEL]) == "version 1 answers all."


async def test_nothing_is_written_until_rollouts_are_known_and_settled() -> None:
    site = Written()
    site.rollouts = None
    await site.write(v2=WARM)
    site.rollouts = {(MODEL, "2"): replace(UNDER_WAY, is_settled=False)}
    await site.write(v2=WARM)
    assert {"set_tag", "describe_version"}.isdisjoint(site.mlflow.calls)
    site.rollouts = {(MODEL, "2"): UNDER_WAY}
    await site.write(v2=WARM)
    assert site.mlflow.tags[MODEL, "2"][RUN_TAG] == "run-1"


async def test_tags_of_another_models_rollout_go_and_what_is_not_known_of_ones_own_stays() -> None:
    site = Written()
    site.mlflow.tags[MODEL, "1"] |= {PHASE_TAG: "Completed"}
    site.mlflow.tags[MODEL, "2"] |= {tag: "as before" for tag in ROLLOUT_TAGS}
    site.rollouts = {(MODEL, "2"): UNDER_WAY}
    site.pages.take_listing({MODEL: {v.version: v for v in site.mlflow.versions(MODEL)}})
    await site.write(v1=WARM, v2=WARM)
    assert PHASE_TAG not in site.mlflow.tags[MODEL, "1"]
    left = {tag: site.mlflow.tags[MODEL, "2"][tag] for tag in ROLLOUT_TAGS}
    assert left == {tag: "as before" for tag in ROLLOUT_TAGS} | dict(UNDER_WAY.tags)
