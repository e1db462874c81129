"""A version is verified once; MLflow being away refuses nothing; fifty downloads hold nobody else up."""

from __future__ import annotations

import asyncio

import pytest

from canary.gates import SitePolicy
from core.errors import ModelRefused, SerinusError
from registry.client import ModelVersion
from registry.signing import DIGEST_TAG
from serve_apps.control.admission import (
    REFUSED_RETRY_S,
    STATUS_TAG,
    UNAVAILABLE_RETRY_S,
    AdmissionController,
    Admitted,
    Missing,
    Refused,
    Unavailable,
    Verdict,
    gate_of,
    served_of,
)
from serve_apps.resources import Resources
from tests.unit.shell.control_fakes import MODEL, Clock, FakeMlflow
from tests.unit.shell.inline import Here


class Desk:
    """An admission controller with its clock, and how often it reported a change."""

    def __init__(self, mlflow: FakeMlflow) -> None:
        self.mlflow, self.clock, self.changes = mlflow, Clock(), 0
        self.admission = AdmissionController(mlflow, self.clock, self._changed, Here())

    def _changed(self) -> None:
        self.changes += 1

    async def verdict(self, version: str) -> Verdict | None:
        self.admission.verdict(MODEL, version)
        for _ in range(5):
            await asyncio.sleep(0)
        return self.admission.verdict(MODEL, version)

    def list_versions(self) -> None:
        versions = {v.version: v for v in self.mlflow.versions(MODEL)}
        self.admission.take_listing(MODEL, versions, is_whole=True)


@pytest.fixture
def mlflow() -> FakeMlflow:
    registry = FakeMlflow()
    registry.register("1", "champion")
    return registry


async def test_a_version_is_verified_once_however_often_one_asks(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    assert desk.admission.verdict(MODEL, "1") is None, "the files are on their way"
    for _ in range(50):
        assert isinstance(await desk.verdict("1"), Admitted)
        desk.clock.now += 100.0
    assert (mlflow.calls.count("fetch"), desk.changes) == (1, 1)


async def test_mlflow_away_at_the_first_look_refuses_nothing_and_is_tried_again(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    mlflow.away = True
    assert await desk.verdict("1") == Unavailable("registry unavailable: MLflow does not answer")
    mlflow.away = False
    desk.clock.now += UNAVAILABLE_RETRY_S
    assert isinstance(await desk.verdict("1"), Admitted)


async def test_what_was_admitted_stays_so_while_mlflow_is_away(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    admitted = await desk.verdict("1")
    mlflow.tags[MODEL, "1"][DIGEST_TAG] = "another"
    desk.list_versions()
    mlflow.away = True
    assert await desk.verdict("1") == admitted
    mlflow.away = False
    desk.clock.now += UNAVAILABLE_RETRY_S
    verdict = await desk.verdict("1")
    assert isinstance(verdict, Admitted)
    assert verdict.digest == "another"


@pytest.mark.parametrize(
    "error", [ModelRefused("a byte was changed"), SerinusError("odd"), RuntimeError("x")]
)
async def test_what_is_wrong_with_an_artifact_refuses_it_and_it_is_looked_at_again(
    mlflow: FakeMlflow, error: Exception
) -> None:
    class Broken(FakeMlflow):
        def fetch(self, name: str, version: str) -> object:  # type: ignore[override]
            self.calls.append("fetch")
            raise error

    desk = Desk(Broken())
    assert isinstance(await desk.verdict("1"), Refused)
    assert isinstance(await desk.verdict("1"), Refused)
    assert desk.mlflow.calls == ["fetch"]
    desk.clock.now += REFUSED_RETRY_S
    await desk.verdict("1")
    assert desk.mlflow.calls == ["fetch", "fetch"]


async def test_a_full_disk_is_the_nodes_fault_and_refuses_nothing(mlflow: FakeMlflow) -> None:
    class Full(FakeMlflow):
        def fetch(self, name: str, version: str) -> object:  # type: ignore[override]
            raise OSError(28, "No space left on device")

    desk = Desk(Full())
    verdict = await desk.verdict("1")
    assert isinstance(verdict, Unavailable)
    assert verdict.reason == "this node cannot keep the version's files: No space left on device"


async def test_a_version_that_mlflow_never_had_is_missing_and_one_that_it_lost_is_deleted(
    mlflow: FakeMlflow,
) -> None:
    desk = Desk(mlflow)
    assert isinstance(await desk.verdict("9"), Missing)
    await desk.verdict("1")
    del mlflow.tags[MODEL, "1"]
    desk.list_versions()
    verdict = await desk.verdict("1")
    assert isinstance(verdict, Admitted)
    assert verdict.deleted


async def test_a_listing_that_may_be_cut_short_deletes_nothing(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    await desk.verdict("1")
    desk.admission.take_listing(MODEL, {}, is_whole=False)
    verdict = await desk.verdict("1")
    assert isinstance(verdict, Admitted)
    assert not verdict.deleted


async def test_new_tags_are_taken_without_fetching_again(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    await desk.verdict("1")
    mlflow.tags[MODEL, "1"][STATUS_TAG] = "withdrawn"
    desk.list_versions()
    verdict = await desk.verdict("1")
    assert isinstance(verdict, Admitted)
    assert verdict.version == ModelVersion(MODEL, "1", mlflow.tags[MODEL, "1"])
    assert (mlflow.calls.count("fetch"), desk.changes) == (1, 2)


async def test_a_version_that_nothing_names_any_more_is_forgotten(mlflow: FakeMlflow) -> None:
    desk = Desk(mlflow)
    await desk.verdict("1")
    desk.admission.forget_all_but(set())
    assert desk.admission.verdict(MODEL, "1") is None


@pytest.mark.parametrize(("policy", "may_answer"), [(SitePolicy.RESEARCH, True), (SitePolicy.STRICT, False)])
async def test_routers_are_told_whether_a_version_may_answer(
    mlflow: FakeMlflow, policy: SitePolicy, may_answer: bool
) -> None:
    """Else nobody would hear of a critical finding that one version saw and the other missed."""
    admitted = await Desk(mlflow).verdict("1")
    assert isinstance(admitted, Admitted)
    assert served_of(admitted, gate_of(admitted, policy), Resources()).may_answer is may_answer
