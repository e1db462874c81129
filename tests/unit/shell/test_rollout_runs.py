"""The run of a rollout in MLflow: one for each, caught up after whatever was away, and ended with the rollout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from canary.evidence.metric import Measurement
from canary.rollout.seen import MetricSeen
from canary.rollout.status import RolloutPhase
from canary.rollout.verbs import VerbKind
from core.errors import LedgerUnavailable
from ledger import Ledger
from registry.runs import NOTE_TAG, RunStatus
from serve_apps.control.chore import Chore
from serve_apps.control.rollout_runs import AGAIN_S, METRICS_S, REFUSED_S, RolloutRuns
from serve_apps.control.rollout_told import EVIDENCE_TAG, PHASE_TAG, STEP_TAG, WEIGHT_TAG, WHY_TAG
from tests.unit.canary.rollout.builders import FAILED, GOOD, RUNNING, evidence, plan
from tests.unit.shell.control_fakes import Clock
from tests.unit.shell.inline import Here
from tests.unit.shell.mlflow_runs import FakeRuns
from tests.unit.shell.rollout_site import MODEL, RolloutSite

HARM = evidence(canary_failures=FAILED)
OPEN = evidence(sensitivity=RUNNING)


class Drawn:
    """A site whose rollouts are told to MLflow."""

    def __init__(self, ledger: Ledger) -> None:
        self.site, self.mlflow, self.clock = RolloutSite(ledger), FakeRuns(), Clock()
        self.leads = True
        self.restart()

    def restart(self) -> None:
        self.site.restart()
        kept = self.site.ledger.rollouts.of_run
        runs = RolloutRuns(self.mlflow, self.site.board, kept, "site-a", self._leads, self.clock)
        self.chore = Chore("rollout-runs", runs.write, 2.0, executor=Here())

    def _leads(self) -> bool:
        return self.leads

    async def pass_s(self, seconds: float = 1.0) -> None:
        """Time passes, somebody looks, and MLflow is written to."""
        self.clock.now += seconds
        self.site.pass_time(timedelta(seconds=seconds))
        self.site.look()
        await self.chore.once()

    @property
    def tags(self) -> dict[str, str]:
        (run,) = self.mlflow.runs.values()
        return dict(run.tags)


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[Drawn]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Drawn(ledger)
    ledger.close()


async def test_a_site_without_a_rollout_asks_mlflow_nothing(drawn: Drawn) -> None:
    await drawn.pass_s()
    assert drawn.mlflow.calls == []


async def test_a_rollout_has_a_run_that_says_what_was_asked_and_how_it_stands(drawn: Drawn) -> None:
    drawn.site.evidence.given = OPEN
    drawn.site.start()
    await drawn.pass_s()
    await drawn.pass_s()
    (run_id,) = drawn.mlflow.runs
    assert drawn.mlflow.names[run_id] == "chest-ct v2 run 1"
    params = drawn.mlflow.runs[run_id].params
    assert params["plan_digest"] == drawn.site.status.plan_digest
    assert params["metric/sensitivity"].startswith("sensitivity, non-inferiority: margin 0.05, alpha 0.025")
    assert (drawn.tags[PHASE_TAG], drawn.tags[STEP_TAG]) == ("Progressing", "1 of 7: analysis")
    assert drawn.tags[WEIGHT_TAG] == "0 %"
    assert drawn.tags[EVIDENCE_TAG].startswith("sensitivity Running; canary-failures Running")
    assert "(#/models/chest-ct/versions/2)" in drawn.tags[NOTE_TAG]


async def test_what_the_evidence_says_is_drawn_over_time(drawn: Drawn) -> None:
    measured = Measurement("sensitivity", RUNNING, "it is Running", 0.25, float("-inf"), 50)
    told = MetricSeen("sensitivity", RUNNING, "it is Running", 50, measured)
    given = replace(OPEN, metrics={**OPEN.metrics, "sensitivity": told})
    drawn.site.evidence.given = replace(given, exposed_studies=3, studies_by_step={4: 2, 5: 1})
    drawn.site.start()
    await drawn.pass_s()
    drawn.site.evidence.given = replace(drawn.site.evidence.given, adverse_events=1, observed_share=0.055)
    await drawn.pass_s(METRICS_S)
    points = drawn.mlflow.points
    assert points["evidence/sensitivity/log10_e_harm"] == [(1, 0.25)]
    assert "evidence/sensitivity/log10_e_non_inferiority" not in points, "MLflow draws no infinite number"
    assert (points["studies"], points["exposed_studies"]) == ([(1, 3.0)], [(1, 3.0)])
    assert points["adverse_events"] == [(1, 0.0), (11, 1.0)]
    assert points["observed_share_percent"] == [(11, 5.5)]


async def test_curves_get_a_point_every_ten_seconds_at_most_and_only_what_changed(drawn: Drawn) -> None:
    drawn.site.evidence.given = OPEN
    drawn.site.start()
    for studies in range(60):
        drawn.site.evidence.given = replace(OPEN, exposed_studies=studies)
        await drawn.pass_s()
    assert 6 <= len(drawn.mlflow.points["exposed_studies"]) <= 7
    assert len(drawn.mlflow.points["adverse_events"]) == 1
    drawn.mlflow.calls.clear()
    await drawn.pass_s(METRICS_S)
    await drawn.pass_s(METRICS_S)
    assert drawn.mlflow.calls == ["add"], "the last study, and then nothing"


async def test_a_reason_that_only_counts_writes_no_tag(drawn: Drawn) -> None:
    drawn.site.start()
    await drawn.pass_s()
    drawn.site.approve()
    for _ in range(3):
        await drawn.pass_s()
    why = drawn.tags[WHY_TAG]
    for studies in range(1, 9):
        drawn.site.evidence.given = replace(GOOD, studies_by_step={4: studies})
        await drawn.pass_s(1.0)
    assert "8 of 10" in drawn.site.status.reason
    assert drawn.tags[WHY_TAG] == why
    drawn.site.is_frozen = True
    for _ in range(70):
        await drawn.pass_s(1.0)
    assert drawn.tags[WHY_TAG] == "holds: the site is frozen", "another reason, and no other count"


async def test_mlflow_that_was_away_is_told_all_the_same_and_holds_up_no_look(drawn: Drawn) -> None:
    drawn.mlflow.is_away = True
    drawn.site.start()
    for _ in range(3):
        await drawn.pass_s()
    assert (drawn.site.status.step, drawn.mlflow.calls) == (2, ["experiment"])
    drawn.mlflow.is_away = False
    await drawn.pass_s(AGAIN_S)
    assert drawn.tags[STEP_TAG] == "2 of 7: pause"


async def test_an_answer_that_was_lost_makes_no_second_run(drawn: Drawn) -> None:
    drawn.mlflow.loses_answers = True
    drawn.site.start()
    for _ in range(5):
        await drawn.pass_s(AGAIN_S)
    drawn.mlflow.loses_answers = False
    await drawn.pass_s(AGAIN_S)
    assert list(drawn.mlflow.runs) == ["run-1"]
    assert drawn.tags[PHASE_TAG] == "Progressing"


async def test_another_controller_finds_the_run_and_writes_nothing_again(drawn: Drawn) -> None:
    drawn.site.start()
    for _ in range(3):
        await drawn.pass_s(METRICS_S)
    drawn.restart()
    drawn.mlflow.calls.clear()
    await drawn.pass_s(METRICS_S)
    assert drawn.mlflow.calls == ["experiment", "tagged"]


async def test_a_run_of_another_ledger_or_site_is_left_alone(drawn: Drawn) -> None:
    drawn.site.start()
    await drawn.pass_s()
    (mine,) = drawn.mlflow.runs.values()
    for name, changes in (
        ("older", {"serinus.rollout": "chest-ct/1/2020"}),
        ("other", {"serinus.site": "b"}),
    ):
        drawn.mlflow.runs[name] = replace(mine, run_id=name, tags={**mine.tags, **changes})
    drawn.restart()
    drawn.site.say(VerbKind.ABORT)
    for _ in range(3):
        await drawn.pass_s()
    ended = {run.run_id: run.status for run in drawn.mlflow.runs.values()}
    assert ended == {"run-1": RunStatus.FAILED, "older": RunStatus.RUNNING, "other": RunStatus.RUNNING}


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_rollout_that_failed_has_failed_in_mlflow_too_also_after_a_restart(
    drawn: Drawn, *, is_away: bool
) -> None:
    drawn.site.start()
    await drawn.pass_s()
    drawn.mlflow.is_away = is_away
    drawn.site.evidence.given = HARM
    for _ in range(4):
        await drawn.pass_s()
    if is_away:
        drawn.restart()
        drawn.mlflow.is_away = False
        await drawn.pass_s()
    (run,) = drawn.mlflow.runs.values()
    assert (run.status, run.tags[PHASE_TAG]) == (RunStatus.FAILED, "Failed")
    assert run.tags[WHY_TAG] == drawn.site.status.reason
    drawn.mlflow.calls.clear()
    await drawn.pass_s(METRICS_S)
    assert drawn.mlflow.calls == []


async def test_a_rollout_that_was_superseded_is_killed(drawn: Drawn) -> None:
    drawn.site.start()
    await drawn.pass_s()
    drawn.site.aliases.names["challenger"] = "3"
    await drawn.pass_s()
    await drawn.pass_s()
    assert drawn.site.status.phase is RolloutPhase.SUPERSEDED
    assert [run.status for run in drawn.mlflow.runs.values()] == [RunStatus.KILLED]


async def test_a_run_that_nobody_could_end_before_the_retry_is_ended_after_it(drawn: Drawn) -> None:
    drawn.site.start()
    await drawn.pass_s()
    drawn.mlflow.is_away = True
    drawn.site.say(VerbKind.ABORT)
    await drawn.pass_s()
    drawn.site.say(VerbKind.RETRY)
    drawn.restart()
    drawn.mlflow.is_away = False
    for _ in range(3):
        await drawn.pass_s(METRICS_S)
    assert [run.status for run in drawn.mlflow.runs.values()] == [RunStatus.FAILED, RunStatus.RUNNING]
    assert list(drawn.mlflow.names.values()) == ["chest-ct v2 run 1", "chest-ct v2 run 2"]


async def test_what_mlflow_refuses_for_one_rollout_holds_up_no_other(drawn: Drawn) -> None:
    drawn.mlflow.refuses = {"chest-ct v2 run 1"}
    drawn.site.start()
    drawn.site.look()
    other = replace(drawn.site.status, model="spine")
    drawn.site.ledger.rollouts.begin(plan(model="spine"), other, actor="ris/ada")
    for _ in range(30):
        await drawn.pass_s()
    assert [bool(run.params) for run in drawn.mlflow.runs.values()] == [False, True]
    assert drawn.mlflow.calls.count("create") == 2
    drawn.mlflow.refuses.clear()
    await drawn.pass_s(REFUSED_S)
    assert all(run.params for run in drawn.mlflow.runs.values())


async def test_only_who_leads_writes(drawn: Drawn) -> None:
    drawn.leads = False
    drawn.site.start()
    await drawn.pass_s()
    assert drawn.mlflow.calls == []

    def away() -> bool:
        raise LedgerUnavailable("the ledger's database does not answer")

    runs = RolloutRuns(drawn.mlflow, drawn.site.board, lambda *_: None, "site-a", away)
    with pytest.raises(LedgerUnavailable):
        runs.write()
    assert drawn.mlflow.calls == []


async def test_no_name_of_a_model_or_metric_is_lost_in_its_run(drawn: Drawn) -> None:
    drawn.site.start()
    await drawn.pass_s()
    (run,) = drawn.mlflow.runs.values()
    assert run.tags["serinus.model"] == MODEL
    assert {name for name in run.params if name.startswith("metric/")} == {
        "metric/sensitivity",
        "metric/canary-failures",
        "metric/late-truth",
        "metric/latency",
    }
