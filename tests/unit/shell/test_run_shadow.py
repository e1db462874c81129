"""Shadows and the safety net: late but never lost, the same series, a share of the machine, nobody else's fault."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.disclosure import Audience, Role
from canary.paired_study import UNEXPECTED
from core.errors import (
    DeadlineExceeded,
    LedgerUnavailable,
    ModelFailed,
    ModelUnavailable,
    SourceUnavailable,
    StudyNotFound,
    WorkerLost,
)
from core.priority import Priority, queue_order
from core.retry import RetryPolicy
from ledger import ClaimedShadow
from serve_apps.application.recent_studies import RecentStudies
from serve_apps.application.run_shadow import retry_of
from tests.unit.shell.builders import a_version
from tests.unit.shell.inline import settle
from tests.unit.shell.shadows import RULE, STUDY, Shadows, a_claim, a_snapshot_of, a_study, absent


async def test_a_shadow_is_read_once_and_its_outcome_kept() -> None:
    shadows = Shadows(a_claim())
    assert await shadows.runner.run_once()
    assert not await shadows.runner.run_once()
    ((token, outcome),) = shadows.rows.finished
    assert (token, outcome["version"], outcome["findings"][0]["presence"]) == ("t", "2", "present")


async def test_the_volume_of_the_delivered_inference_is_used_and_nothing_is_fetched() -> None:
    shadows = Shadows(a_claim())
    shadows.recent.keep("job", a_study("held"))
    await shadows.runner.run_once()
    assert (shadows.port.asked[0][1], shadows.port.fetched) == ("held", [])


async def test_a_pair_reads_the_same_series_by_the_rule_that_chose_it() -> None:
    """Not by the shadow's own rule, which may choose another series of the study."""
    shadows = Shadows(a_claim())
    await shadows.runner.run_once()
    (request,) = shadows.port.fetched
    assert request.study == STUDY
    assert request.study.series_uids == ("1.2.3",)
    assert [eligible.rule for eligible in request.eligible] == [RULE]
    assert shadows.snapshot.endpoints["mv-ich-triage-2"].spec.input.series != RULE


async def test_a_study_that_was_fetched_again_serves_the_other_role_too() -> None:
    shadows = Shadows(a_claim("a"), a_claim("b"))
    while await shadows.runner.run_once():
        pass
    assert len(shadows.port.fetched) == 1


async def test_a_shadow_waits_while_live_studies_run_and_the_safety_net_does_not() -> None:
    shadow, net = Shadows(a_claim()), Shadows(a_claim(role=Role.SAFETY_NET), role=Role.SAFETY_NET)
    for each in (shadow, net):
        each.live.running = True
    assert (await shadow.runner.run_once(), await net.runner.run_once()) == (False, True)
    shadow.live.running = False
    assert await shadow.runner.run_once()


async def test_a_recalled_study_waits_behind_live_studies_as_a_shadow_does() -> None:
    shadows = Shadows(claim := a_claim(role=Role.RECALL), role=Role.RECALL)
    shadows.live.running = True
    assert not await shadows.runner.run_once()
    shadows.live.running = False
    assert await shadows.runner.run_once()
    assert shadows.port.asked[0][2] == queue_order(Priority.BATCH, claim.created_at)


async def test_under_steady_load_a_share_of_the_machine_is_theirs_after_a_while() -> None:
    """One that has waited long enough runs beside live studies, and not on idle cores, of which there are none."""
    shadows = Shadows(a_claim("old", age_s=301.0), a_claim("young", age_s=299.0), max_wait_s=300.0)
    shadows.live.running = True
    assert await shadows.runner.run_once()
    assert not await shadows.runner.run_once()
    assert [token for token, _ in shadows.rows.finished] == ["old"]
    assert shadows.port.asked[0][2] is not None


async def test_a_shadow_asks_for_idle_cores_unless_callers_wait_for_its_version() -> None:
    for version, is_idle in (("2", True), ("1", False)):
        claim = a_claim(version=version, app=a_version(version).app_name)
        shadows = Shadows(claim)
        await shadows.runner.run_once()
        assert (shadows.port.asked[0][2] is None) is is_idle


async def test_the_safety_net_stands_among_routine_studies_and_a_shadow_behind_them() -> None:
    net = Shadows(claim := a_claim(role=Role.SAFETY_NET), role=Role.SAFETY_NET)
    await net.runner.run_once()
    assert net.port.asked[0][2] == queue_order(Priority.ROUTINE, claim.created_at)
    shadow = Shadows(claim := a_claim(version="1", app=a_version("1").app_name))
    await shadow.runner.run_once()
    assert shadow.port.asked[0][2] == queue_order(Priority.BATCH, claim.created_at)


async def test_a_young_task_is_left_to_the_replica_that_was_given_its_study() -> None:
    shadows = Shadows(a_claim(), handover_s=60.0)
    assert not await shadows.runner.run_once()
    shadows.runner.wake()
    assert await shadows.runner.run_once()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkerLost("out of memory"), "worker-lost"),
        (DeadlineExceeded("full machine"), "deadline-exceeded"),
        (ModelUnavailable("not warm"), "model-unavailable"),
        (LedgerUnavailable("away"), "ledger-unavailable"),
    ],
)
async def test_what_is_not_the_versions_fault_is_tried_again_and_costs_no_attempt(
    error: Exception, code: str
) -> None:
    shadows = Shadows(a_claim(attempt=6))
    shadows.port.raises = [error]
    await shadows.runner.run_once()
    ((_, told, pause_s, counts),) = shadows.rows.failures
    assert (told, counts) == (code, False)
    assert pause_s is not None
    assert pause_s < 5.0, "the reading of a lost worker is repeated within seconds"


async def test_a_lost_volume_is_fetched_again() -> None:
    shadows = Shadows(a_claim("a"), a_claim("b"))
    shadows.recent.keep("job", a_study("held"))
    shadows.port.raises = [WorkerLost("the study left the object store")]
    await shadows.runner.run_once()
    await shadows.runner.run_once()
    assert [volume for _, volume, _ in shadows.port.asked] == ["held", "fetched"]


@pytest.mark.parametrize("error", [RuntimeError("boom"), ModelFailed("nan")])
async def test_a_version_that_fails_again_and_again_ends_with_its_error_as_outcome(error: Exception) -> None:
    first, last = Shadows(a_claim(attempt=1)), Shadows(a_claim(attempt=6))
    for shadows in (first, last):
        shadows.port.raises = [error]
        await shadows.runner.run_once()
    code = "model-error" if isinstance(error, ModelFailed) else UNEXPECTED
    ((_, told, pause_s, counts),) = first.rows.failures
    assert (told, pause_s is not None, counts) == (code, True, True)
    assert last.rows.failures[0][1:3] == (code, None)


async def test_a_version_that_hung_lets_others_go_first_for_as_long_as_it_took() -> None:
    other = a_version("3")
    hung = [a_claim(f"hung-{n}", job_id=f"hung-{n}", age_s=100.0 - n) for n in range(3)]
    young = a_claim("young", job_id="young", version="3", app=other.app_name)
    shadows = Shadows(*hung, young)
    shadows.snapshot = a_snapshot_of(other)
    shadows.port.takes_s = 300.0
    shadows.port.raises = [DeadlineExceeded("no answer within 300 s")]
    await shadows.runner.run_once()
    shadows.port.takes_s = 1.0
    assert await shadows.runner.run_once()
    assert [token for token, _ in shadows.rows.finished] == ["young"]
    assert not await shadows.runner.run_once()
    shadows.port.now_s += 300.0
    assert await shadows.runner.run_once()


async def test_a_study_that_nobody_asks_for_any_more_leaves_the_object_store() -> None:
    shadows, now_s = Shadows(), [0.0]
    recent = RecentStudies(4, 300.0, lambda: now_s[0])
    shadows.runner._c = replace(shadows.runner._c, recent=recent)
    recent.keep("job", a_study("held"))
    now_s[0] = 301.0
    await shadows.runner.run_once()
    assert recent._studies == {}


def test_a_version_that_always_hangs_does_not_hold_up_the_others_for_ever() -> None:
    policy, claim = RetryPolicy(), a_claim()
    pauses = []
    for age_s in (0.0, 60.0, 3600.0, 24 * 3600.0):
        at = claim.created_at + timedelta(seconds=age_s)
        decision = retry_of(DeadlineExceeded("late"), claim, at, policy)
        pauses.append(None if decision.at is None else (decision.at - at).total_seconds())
    assert pauses == [0.5, 15.0, 300.0, None]


def test_a_study_that_is_gone_from_its_source_is_not_asked_for_again() -> None:
    claim = a_claim()
    assert retry_of(StudyNotFound("no"), claim, claim.created_at, RetryPolicy()).at is None
    assert retry_of(SourceUnavailable("away"), claim, claim.created_at, RetryPolicy()).at is not None


async def test_an_outcome_that_the_ledger_could_not_take_is_written_later_and_not_made_twice() -> None:
    shadows = Shadows(a_claim())
    shadows.rows.errors = [LedgerUnavailable("away")] * 3
    await shadows.runner.run_once()
    assert len(shadows.rows.finished) == len(shadows.port.asked) == 1


async def test_the_lease_is_kept_while_the_version_reads_and_no_longer() -> None:
    shadows = Shadows(a_claim())
    shadows.port.hanging = asyncio.Event()
    run = asyncio.create_task(shadows.runner.run_once())
    await settle()
    assert set(shadows.keeper.kept) == {"t"}
    shadows.port.hanging.set()
    await run
    assert not shadows.keeper.kept


async def test_a_lease_that_another_replica_has_ends_the_work_and_nothing_is_said() -> None:
    shadows = Shadows(a_claim())
    shadows.port.hanging = asyncio.Event()
    run = asyncio.create_task(shadows.runner.run_once())
    await settle()
    shadows.keeper.kept["t"]()
    await run
    assert (shadows.rows.finished, shadows.rows.failures) == ([], [])


async def test_an_outcome_that_comes_after_the_lease_was_lost_does_not_count() -> None:
    shadows = Shadows(a_claim())
    shadows.rows.lost = {"t"}
    assert await shadows.runner.run_once()
    assert (shadows.rows.finished, shadows.rows.failures) == ([], [])


async def test_a_replica_that_is_stopped_hands_its_task_back() -> None:
    shadows = Shadows(a_claim())
    shadows.port.hanging = asyncio.Event()
    loop = asyncio.create_task(shadows.runner.run_forever())
    await settle()
    loop.cancel()
    await asyncio.wait([loop])
    assert (shadows.rows.released, shadows.rows.failures) == (["t"], [])


async def test_an_idle_runner_asks_seldom_and_is_woken_by_a_study() -> None:
    shadows = Shadows(idle_s=60.0)
    loop = asyncio.create_task(shadows.runner.run_forever())
    await settle()
    assert shadows.rows.claims == 1
    shadows.rows.pending.append(a_claim())
    shadows.runner.wake()
    await settle()
    assert len(shadows.rows.finished) == 1
    loop.cancel()


async def test_a_study_that_comes_while_the_ledger_is_asked_waits_for_no_poll() -> None:
    shadows = Shadows(idle_s=60.0, handover_s=60.0)
    claim, is_first = shadows.rows.claim, iter([True])

    def woken_meanwhile(*args: object) -> object:
        due = claim(*args)  # type: ignore[arg-type]
        if next(is_first, False):
            shadows.rows.pending.append(a_claim())
            shadows.runner.wake()
        return due

    shadows.rows.claim = woken_meanwhile  # type: ignore[assignment,method-assign]
    loop = asyncio.create_task(shadows.runner.run_forever())
    await settle()
    assert len(shadows.rows.finished) == 1
    loop.cancel()


async def test_a_ledger_that_is_away_stops_no_loop() -> None:
    shadows = Shadows(a_claim(), idle_s=0.001)
    claim = shadows.rows.claim
    answers = iter([LedgerUnavailable("away")])

    def flaky(*args: object) -> object:
        if error := next(answers, None):
            raise error
        return claim(*args)  # type: ignore[arg-type]

    shadows.rows.claim = flaky  # type: ignore[assignment,method-assign]
    loop = asyncio.create_task(shadows.runner.run_forever())
    async with asyncio.timeout(5):
        while not shadows.rows.finished:
            await asyncio.sleep(0.001)
    loop.cancel()


@pytest.mark.parametrize("role", [Role.SHADOW, Role.SAFETY_NET, Role.RECALL])
@pytest.mark.parametrize(("may_answer", "audience"), [(True, Audience.CALLER), (False, Audience.EVIDENCE)])
async def test_who_hears_a_critical_disagreement_depends_on_the_versions_clearance(
    role: Role, may_answer: bool, audience: Audience
) -> None:
    shadows = Shadows(claim := a_claim(role=role), role=role)
    cleared = replace(a_version(claim.version), may_answer=may_answer)
    shadows.snapshot = a_snapshot_of(cleared)
    await shadows.runner.run_once()
    ((job_id, escalation, told),) = shadows.escalations.recorded
    assert (job_id, told, escalation["delivered_missed"]) == ("job", audience, True)


async def test_a_clearance_that_was_withdrawn_meanwhile_silences_the_version() -> None:
    shadows = Shadows(a_claim())
    shadows.snapshot = a_snapshot_of(replace(a_version("2"), may_answer=True))
    shadows.port.hanging = asyncio.Event()
    run = asyncio.create_task(shadows.runner.run_once())
    await settle()
    shadows.snapshot = a_snapshot_of(a_version("2"))
    shadows.port.hanging.set()
    await run
    assert [audience for _, _, audience in shadows.escalations.recorded] == [Audience.EVIDENCE]


@pytest.mark.parametrize("digest", ["b" * 64, None])
async def test_a_clearance_counts_for_the_artifact_that_read_and_for_no_other(digest: str | None) -> None:
    shadows = Shadows(a_claim())
    served = a_snapshot_of(replace(a_version("2"), may_answer=True, digest=digest or ""))
    shadows.snapshot = served
    await shadows.runner.run_once()
    assert [audience for _, _, audience in shadows.escalations.recorded] == [Audience.EVIDENCE]


async def test_versions_that_agree_escalate_nothing() -> None:
    shadows = Shadows(a_claim())
    shadows.port.predictions = {"2": absent("2")}
    await shadows.runner.run_once()
    assert shadows.escalations.recorded == []


# --- what is read of the past


def a_replay(token: str = "r", **changes: Any) -> ClaimedShadow:
    claim = a_claim(token, f"job-{token}", Role.REPLAY, **changes)
    return replace(claim, version="2", app=a_version("2").app_name)


async def test_a_replay_is_read_after_all_shadows_that_are_due() -> None:
    shadows = Shadows(a_replay(age_s=900.0), a_claim("s"), afterwards=(Role.REPLAY,))
    while await shadows.runner.run_once():
        pass
    assert [token for token, _ in shadows.rows.finished] == ["s", "r"]


async def test_a_replay_never_runs_beside_a_live_study_however_old_it_is() -> None:
    shadows = Shadows(a_replay(age_s=1e6), afterwards=(Role.REPLAY,))
    shadows.live.running = True
    assert not await shadows.runner.run_once()
    shadows.live.running = False
    assert await shadows.runner.run_once()
    assert shadows.port.asked[0][2] is None, "on idle cores"


async def test_a_replay_by_a_version_that_answers_stands_behind_live_studies() -> None:
    claim = replace(a_replay(age_s=1e6), version="1", app=a_version("1").app_name)
    shadows = Shadows(claim, afterwards=(Role.REPLAY,))
    await shadows.runner.run_once()
    assert shadows.port.asked[0][2] == queue_order(Priority.BATCH, claim.created_at)


async def test_a_runner_without_them_leaves_replays_alone() -> None:
    shadows = Shadows(a_replay())
    assert not await shadows.runner.run_once()


async def test_a_replay_takes_no_place_of_a_study_of_now() -> None:
    shadows = Shadows(a_replay(), afterwards=(Role.REPLAY,))
    await shadows.runner.run_once()
    assert (len(shadows.port.fetched), shadows.recent.get("job-r")) == (1, None)


async def test_a_critical_finding_of_the_past_is_told_to_nobody_and_kept_as_outcome() -> None:
    shadows = Shadows(a_replay(), afterwards=(Role.REPLAY,))
    shadows.snapshot = a_snapshot_of(replace(a_version("2"), may_answer=True))
    await shadows.runner.run_once()
    assert shadows.escalations.recorded == []
    ((_, outcome),) = shadows.rows.finished
    assert outcome["findings"][0]["presence"] == "present", "its caller was told of nothing"


def test_the_horizons_of_a_replay_count_from_its_first_attempt() -> None:
    """It may have waited for days behind live studies."""
    tried_at = a_claim().created_at
    waited = replace(a_replay(age_s=7 * 86_400.0), first_tried_at=tried_at)
    live = a_claim(age_s=7 * 86_400.0)
    for error in (SourceUnavailable("away"), DeadlineExceeded("late"), ModelUnavailable("not warm")):
        assert retry_of(error, waited, tried_at, RetryPolicy()).at is not None
        assert retry_of(error, live, tried_at, RetryPolicy()).at is None
    day_after = tried_at + timedelta(hours=25)
    assert retry_of(SourceUnavailable("away"), waited, day_after, RetryPolicy()).at is None
