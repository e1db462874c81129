"""The run of a rollout on a real MLflow: made once, found again, drawn over time, linked and ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.rollout.status import RolloutPhase
from ledger import Ledger
from registry.client import RegistryClient, RegistryRefused
from registry.runs import NOTE_TAG, RunNews, Runs, RunStatus, metric_name
from serve_apps.control.rollout_runs import EXPERIMENT, METRICS_S, SITE_TAG, RolloutRuns
from serve_apps.control.rollout_told import PHASE_TAG, RUN_TAG
from tests.unit.canary.rollout.builders import FAILED, NOON, evidence
from tests.unit.shell.control_fakes import Clock
from tests.unit.shell.rollout_site import RolloutSite

SITE = "serinus-of-this-test"


@pytest.fixture
def runs(client: RegistryClient) -> Runs:
    return Runs(client)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RolloutSite]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield RolloutSite(ledger)
    ledger.close()


def test_a_rollout_is_drawn_from_its_start_to_its_end_by_two_controllers(
    runs: Runs, site: RolloutSite
) -> None:
    clock = Clock()

    def a_writer() -> RolloutRuns:
        kept = site.ledger.rollouts.of_run
        return RolloutRuns(runs, site.board, kept, SITE, lambda: True, clock)

    site.start()
    writer = a_writer()
    for _ in range(2):
        site.look()
        writer.write()
        clock.now += METRICS_S
    site.restart()
    writer = a_writer()
    site.evidence.given = evidence(canary_failures=FAILED)
    for _ in range(4):
        site.look()
        writer.write()
        clock.now += METRICS_S
    (run,) = runs.tagged(runs.experiment(EXPERIMENT), SITE_TAG, SITE)
    assert (run.status, run.tags[PHASE_TAG]) == (RunStatus.FAILED, RolloutPhase.FAILED)
    assert run.params["plan_digest"] == site.status.plan_digest
    assert run.metrics["weight_percent"] == 0
    assert "evidence/canary-failures/observed" in run.metrics
    assert "(#/models/chest-ct/versions/2)" in run.tags[NOTE_TAG]
    pages = site.board.pages()
    assert pages is not None
    assert pages["chest-ct", "2"].tags[RUN_TAG].endswith(run.run_id)


def test_an_experiment_that_was_deleted_comes_back(runs: Runs, client: RegistryClient) -> None:
    made = runs.experiment("told, and deleted")
    client.post("/experiments/delete", {"experiment_id": made})
    assert runs.experiment("told, and deleted") == made


def test_a_deleted_run_is_not_found_again_and_takes_nothing(runs: Runs, client: RegistryClient) -> None:
    experiment = runs.experiment("runs that are deleted")
    run = runs.create(experiment, "a run", {"tag": "one"}, NOON)
    assert [one.run_id for one in runs.tagged(experiment, "tag", "one")] == [run.run_id]
    client.post("/runs/delete", {"run_id": run.run_id})
    assert runs.tagged(experiment, "tag", "one") == ()
    with pytest.raises(RegistryRefused):
        runs.add(run.run_id, RunNews(NOON, 1, tags={"tag": "another"}))


@pytest.mark.parametrize("name", ["sensitivity (5 %)", "..", "a/b", "läsion", "x" * 300])
def test_mlflow_takes_any_name_of_a_metric(runs: Runs, name: str) -> None:
    experiment = runs.experiment("names")
    run = runs.create(experiment, "a run", {"tag": name}, NOON)
    key = f"evidence/{metric_name(name)}/log10_e_harm"
    runs.add(run.run_id, RunNews(NOON, 1, params={key: "asked"}, metrics={key: -0.5}))
    (found,) = runs.tagged(experiment, "tag", name)
    assert (found.metrics[key], found.params[key]) == (-0.5, "asked")
