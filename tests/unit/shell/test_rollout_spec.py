"""A rollout in YAML: every mistake is told with its line, field and reason; the schema in docs/ is the one."""

from __future__ import annotations

import json
from datetime import date, time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from canary.rollout.gate import Gates
from canary.rollout.notice import NoticeKind
from canary.rollout.plan import DAY_S, RolloutPlan
from canary.rollout.step import ApprovalRule, Experiment, Pause, SetMirror, SetWeight
from canary.rollout.windows import Freeze, Window
from core.codec import from_plain, to_plain
from core.errors import InvalidField
from serve_apps.cli.main import app
from serve_apps.rollout_spec.spec_file import read_rollouts, rollout_schema
from serve_apps.rollout_spec.units import window_of

ROOT = Path(__file__).parents[3]
SPEC = ROOT / "examples/rollouts/chest-ct.yaml"
TEXT = SPEC.read_text()
MARGIN = """      margin: 0.05
      justification: Two readers of our own films differ by 7 points (QA report 2026-03); half of that goes unnoticed.
"""
SILENT = """
apiVersion: serinus/v1alpha1
kind: ModelRollout
metadata: {name: silent}
spec:
  model: {name: chest}
  steps:
    - setMirror: {}
    - pause: {duration: 1h}
"""


def read(text: str = TEXT) -> RolloutPlan:
    (plan,) = read_rollouts(text, SPEC.name)
    return plan


def mistakes(text: str) -> list[str]:
    with pytest.raises(InvalidField) as caught:
        read_rollouts(text, "rollout.yaml")
    return caught.value.detail.splitlines()


def changed(right: str, wrong: str) -> str:
    assert TEXT.count(right) == 1, right
    return TEXT.replace(right, wrong)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_the_example_is_read_into_a_plan() -> None:
    plan = read()
    assert (plan.name, plan.model, len(plan.steps), plan.promotes) == ("chest-ct-nodule",) * 2 + (9, True)
    assert plan.steps[0] == SetMirror(10_000)
    assert plan.steps[2] == Pause(approval=ApprovalRule(("radiologist", "quality"), 2))
    assert plan.steps[3] == Experiment(200, 10 * DAY_S, ("canary-failures",))
    assert [step.weight_bp for step in plan.steps if isinstance(step, SetWeight)] == [500, 2_500, 10_000]
    assert plan.surveillance is not None
    assert (plan.surveillance.metrics, plan.surveillance.duration_s) == (("late-sensitivity",), 90 * DAY_S)
    assert plan.calendar.windows == (Window(frozenset({0, 1, 2, 3}), time(8), time(16)),)
    assert plan.calendar.freezes == (Freeze(date(2026, 12, 20), date(2027, 1, 5), "holidays"),)
    assert plan.metric("sensitivity").strata == ("scanner", "site")
    assert (plan.budget.studies, plan.budget.adverse, plan.rollback_window.revisions) == (600, 15, 3)


def test_a_plan_is_the_same_after_it_was_stored() -> None:
    plan = read()
    assert from_plain(RolloutPlan, json.loads(json.dumps(to_plain(plan)))) == plan


def test_without_a_word_about_it_a_plan_exposes_nobody() -> None:
    plan = read(SILENT)
    assert (plan.promotes, plan.regulatory.live_exposure_allowed, plan.surveillance) == (False, False, None)


@pytest.mark.parametrize(
    ("right", "wrong", "line", "field", "reason"),
    [
        ("setWeight: 5\n", "setWieght: 5\n", "setWieght", "/spec/steps/4/setWieght", "not permitted"),
        ("setWeight: 5\n", "setWeight: 5.001\n", "5.001", "/spec/steps/4/setWeight", "multiple of 0.01"),
        ("setWeight: 5\n", 'setWeight: "5"\n', '"5"', "/spec/steps/4/setWeight", "valid number"),
        ("setWeight: 25", "setWeight: 4", "setWeight: 4", "/spec/steps/6", "above the one before"),
        ("setWeight: 100", "setWeight: 99", "setWeight: 99", "/spec/steps/8", "ends with setWeight: 100"),
        ("{duration: 3d}", "{duration: 3x}", "3x", "/spec/steps/7/pause/duration", "pattern"),
        ("{duration: 3d}", "{duration: 9999999w}", "9999999w", "/spec/steps/7/pause/duration", "100 years"),
        ("{duration: 3d}", "{}", "pause: {}", "/spec/steps/7/pause", "one of duration, approval and until"),
        ("pause: {duration: 3d}", "{}", "- {}", "/spec/steps/7", "a step is one of"),
        ("count: 2", "count: 1", "count: 1", "/spec/steps/2", "a person for each role"),
        (MARGIN, "      margin: 0.05\n", "- name: sensitivity", "/spec/metrics/0", "needs a justification"),
        ('"chest:0-50"', '"chest:50"', "chest:50", "/spec/assignment/slot", "is no slot"),
        ("Europe/Paris", "Paris", "windows:", "/spec/windows", "IANA name"),
        ("Mon-Thu", "Mon-Don", "Mon-Don", "/spec/windows/allow/0", "weekdays are"),
        ("08:00-16:00", "16:00-08:00", "16:00-08:00", "/spec/windows/allow/0", "closes after it opens"),
        ("2027-01-05", "2026-01-05", "2026-01-05", "/spec/windows/freeze/0", "on or after"),
        (
            "onDeadline: pause ",
            "onDeadline: promote ",
            "onDeadline",
            "/spec/onDeadline",
            "'pause' or 'abort'",
        ),
        ("startingStep: 0", "startingStep: 12", "startingStep", "/spec/background/startingStep", "9 steps"),
        (
            "changeRecord: CR-0142",
            "changeRecord: ''",
            "regulatory:",
            "/spec/regulatory",
            "needs a changeRecord",
        ),
        (
            "templateName: surveillance",
            "templateName: surveilance",
            "surveilance",
            "/spec/steps/9/analysis/templates/0/templateName",
            "no AnalysisTemplate",
        ),
        ("kind: ModelRollout", "kind: Rollout", "kind: Rollout", "/kind", "ModelRollout or AnalysisTemplate"),
        ("futilityLimit: 900  ", "futilityLimit: 0  ", "- name: sensitivity", "/spec/metrics/0", "above 0"),
    ],
)
def test_a_mistake_is_told_with_its_line_its_field_and_the_reason(
    right: str, wrong: str, line: str, field: str, reason: str
) -> None:
    text = changed(right, wrong)
    place, pointer, why = mistakes(text)[0].split(": ", 2)
    assert pointer == field
    assert reason in why
    assert int(place.removeprefix("rollout.yaml:").split(":")[0]) == line_of(text, line)


OUTSIDE = """  notifications:
    - {url: "https://ris.example/rollouts", events: [paused, rolling-back]}
    - {url: "http://127.0.0.1:9/all"}
  gates:
    confirmRollout: {url: "https://qa.example/begin"}
    confirmPromotion: {url: "https://qa.example/promote"}
    rollback: {url: "https://qa.example/back"}
"""


def outside(right: str = "", wrong: str = "", text: str = TEXT) -> str:
    """The file with notifications and gates, in which one thing is wrong."""
    assert not right or OUTSIDE.count(right) == 1, right
    return text.replace(
        "  model: {name:", f"{OUTSIDE.replace(right, wrong) if right else OUTSIDE}  model: {{name:"
    )


def test_notifications_and_gates_are_read_into_the_plan() -> None:
    plan = read(outside())
    ris, everything = plan.notifications
    assert (ris.url, ris.events) == (
        "https://ris.example/rollouts",
        (NoticeKind.PAUSED, NoticeKind.ROLLING_BACK),
    )
    assert (everything.url, everything.events) == ("http://127.0.0.1:9/all", ())
    assert plan.gates == Gates(
        "https://qa.example/begin", "https://qa.example/promote", "https://qa.example/back"
    )
    assert from_plain(RolloutPlan, json.loads(json.dumps(to_plain(plan)))) == plan
    assert read().gates == Gates()


@pytest.mark.parametrize(
    ("right", "wrong", "field", "reason"),
    [
        (
            "https://ris.example/rollouts",
            "ftp://ris.example",
            "/spec/notifications/0/url",
            "begins with https",
        ),
        ("https://ris.example/rollouts", "https://[", "/spec/notifications/0/url", "it is no address"),
        ("https://ris.example/rollouts", "https://ris:99999/", "/spec/notifications/0/url", "no address"),
        (
            "https://ris.example/rollouts",
            "https://a:b@ris.example",
            "/spec/notifications/0/url",
            "no user name",
        ),
        ("https://ris.example/rollouts", "/rollouts", "/spec/notifications/0/url", "a host"),
        ("events: [paused,", "events: [puased,", "/spec/notifications/0/events/0", "'started'"),
        ("[paused, rolling-back]", "[paused, paused]", "/spec/notifications/0", "stands there once"),
        ("http://127.0.0.1:9/all", "https://ris.example/rollouts", "/spec/notifications/1/url", "another"),
        ("confirmRollout: {", "confirm-rollout: {", "/spec/gates/confirm-rollout", "not permitted"),
        ('{url: "https://qa.example/back"}', "{}", "/spec/gates/rollback/url", "required"),
        ("https://qa.example/back", "https://", "/spec/gates/rollback/url", "a host"),
    ],
)
def test_a_mistake_in_an_address_or_an_event_is_told_with_its_line(
    right: str, wrong: str, field: str, reason: str
) -> None:
    text = outside(right, wrong)
    place, pointer, why = mistakes(text)[0].split(": ", 2)
    assert (pointer, reason in why) == (field, True), why
    head = text[: text.index("  model: {name:")].splitlines()
    assert int(place.split(":")[1]) == max(number for number, line in enumerate(head, 1) if wrong in line)


def test_a_plan_that_promotes_nothing_has_no_gate_for_it() -> None:
    (told,) = mistakes(outside(text=SILENT))
    line = line_of(outside(text=SILENT), "confirmPromotion")
    assert told.startswith(f"rollout.yaml:{line}:")
    assert "promotes nothing" in told


def test_without_live_exposure_each_step_that_exposes_patients_is_told_by_its_line() -> None:
    text = changed("liveExposureAllowed: true ", "liveExposureAllowed: false")
    told = mistakes(text)
    steps = [
        line_of(text, part) for part in ("experiment:", "setWeight: 5", "setWeight: 25", "setWeight: 100")
    ]
    assert [int(one.split(":")[1]) for one in told[:4]] == steps
    assert all("liveExposureAllowed is false" in one for one in told[:4])


def test_a_promotion_without_evidence_before_it_is_refused() -> None:
    lines = [line for line in TEXT.splitlines() if "templateName: paired-non" not in line]
    text = "\n".join(lines).replace(", evidence: [{templateName: canary-guardrails}]", "")
    text = text.replace(
        "analysis: {templates: [{templateName: canary-guardrails}]}",
        "analysis: {templates: [{templateName: dry}]}",
    )
    dry = "metadata: {name: dry}\nspec: {metrics: [{name: dry, kind: latency, dryRun: true}]}\n"
    told = mistakes(f"{text}\n---\napiVersion: serinus/v1alpha1\nkind: AnalysisTemplate\n{dry}")
    assert any("no step before it waits for evidence" in one for one in told)
    assert any("all of its metrics are dry-run" in one for one in told)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("kind: dice", "its tolerance must be above 0"),
        (
            "kind: measurement, hypothesis: non-inferiority, margin: 2, justification: a, plannedLooks: [9]",
            "by `concept`",
        ),
        ("kind: auc, plannedLooks: [60]", "by `concept`"),
        ("kind: auc, plannedLooks: [60], concept: hemorrhage", "match"),
        ("kind: latency, concept: 1386000@SCT", "a concept goes with"),
        ("kind: latency, truthSets: [ref]", "ground-truth sets go with"),
        ("kind: sensitivity, truthSets: [ref, ref]", "stands there once"),
    ],
)
def test_a_metric_that_would_read_nothing_is_refused(kind: str, reason: str) -> None:
    text = changed(
        "{name: latency, kind: latency, tolerance: 0.2, dryRun: true}", f"{{name: latency, {kind}}}"
    )
    assert any(reason in one for one in mistakes(text)), mistakes(text)


@pytest.mark.parametrize(
    "kind",
    [
        "kind: dice, tolerance: 0.1",
        "kind: auc, plannedLooks: [60, 120], concept: 1386000@SCT",
        "kind: measurement, hypothesis: non-inferiority, margin: 2, justification: a, plannedLooks: [9], "
        "concept: 118565006@SCT",
    ],
)
def test_each_kind_can_be_declared(kind: str) -> None:
    told = "{name: latency, kind: latency, tolerance: 0.2, dryRun: true}"
    assert read_rollouts(changed(told, f"{{name: latency, {kind}, dryRun: true}}"), "rollout.yaml")


@pytest.mark.parametrize(
    ("asked", "patients"), [("", 0), (", replayBacklog: true", 500), (", replayBacklog: 40", 40)]
)
def test_a_mirror_may_begin_with_studies_of_the_past(asked: str, patients: int) -> None:
    plan = read(changed("setMirror: {percentage: 100}", f"setMirror: {{percentage: 100{asked}}}"))
    assert plan.steps[0] == SetMirror(10_000, replay_last=patients)


@pytest.mark.parametrize("wrong", ["0", "5001", "-1", "0.5", '"many"'])
def test_a_backlog_that_cannot_be_read_is_refused(wrong: str) -> None:
    text = changed("setMirror: {percentage: 100}", f"setMirror: {{replayBacklog: {wrong}}}")
    assert any("/spec/steps/0/setMirror/replayBacklog" in one for one in mistakes(text))


def test_a_metric_names_the_ground_truth_sets_that_count_for_it() -> None:
    plan = read(changed("futilityLimit: 900 ", "truthSets: [chest-reference, chest-rare] "))
    assert plan.metric("sensitivity").truth_sets == ("chest-reference", "chest-rare")
    assert plan.metric("specificity").truth_sets == ()


def test_mistakes_of_several_documents_are_told_at_once() -> None:
    text = changed("key: patient", "key: pateint").replace("kind: shadow-failures", "kind: shadows")
    assert [one.split(": ")[1] for one in mistakes(text)] == ["/spec/assignment/key", "/spec/metrics/0/kind"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "rollout.yaml: /kind: kind is"),
        ("spec: [", "rollout.yaml:1:8: expected the node content"),
        (TEXT.split("---\n", 1)[1], "rollout.yaml: it holds no ModelRollout"),
        (TEXT.replace("name: surveillance}\nspec", "name: guardrails}\nspec"), "rollout.yaml:"),
        ("kind: ModelRollout\nkind: ModelRollout", "rollout.yaml:2:1: kind stands here twice"),
    ],
)
def test_what_is_no_file_of_rollouts_says_so(text: str, told: str) -> None:
    assert mistakes(text)[0].startswith(told)


def test_no_value_of_the_file_is_repeated_but_the_names_that_it_gives() -> None:
    assert "secret" not in "".join(mistakes(changed("key: patient", "key: secret")))


@pytest.mark.parametrize(
    ("text", "days", "closes"),
    [
        ("Mon-Fri 08:00-16:00", {0, 1, 2, 3, 4}, time(16)),
        ("Sat 00:00-24:00", {5}, time.max),
        ("Fri-Mon 08:00-16:00", {4, 5, 6, 0}, time(16)),
    ],
)
def test_a_window_names_days_and_hours(text: str, days: set[int], closes: time) -> None:
    assert (window_of(text).weekdays, window_of(text).closes) == (days, closes)


def test_the_published_schema_is_that_of_the_code() -> None:
    """Written by `serinus rollout schema > docs/rollout-spec.schema.json`."""
    assert json.loads((ROOT / "docs/rollout-spec.schema.json").read_text()) == rollout_schema()


def test_the_example_names_the_published_schema_and_is_valid_by_it() -> None:
    first = TEXT.splitlines()[0]
    assert (SPEC.parent / first.partition("$schema=")[2]).resolve() == ROOT / "docs/rollout-spec.schema.json"
    checker = jsonschema.Draft202012Validator(rollout_schema())
    documents = [plain_dates(one) for one in yaml.safe_load_all(TEXT)]
    assert [list(checker.iter_errors(one)) for one in documents] == [[]] * 5
    documents[0]["spec"]["steps"][0]["setWeight"] = 5
    assert list(checker.iter_errors(documents[0]))


def plain_dates(document: Any) -> Any:
    return json.loads(json.dumps(document, default=str))


def test_the_command_tells_each_mistake_and_ends_with_1(tmp_path: Path) -> None:
    wrong = tmp_path / "rollout.yaml"
    wrong.write_text(changed("setWeight: 25", "setWeight: 4"))
    done = CliRunner().invoke(app, ["rollout", "check", str(SPEC)])
    assert (done.exit_code, "9 steps" in done.stdout) == (0, True)
    refused = CliRunner().invoke(app, ["rollout", "check", str(wrong), "--json"])
    assert refused.exit_code == 1
    assert "/spec/steps/6" in json.loads(refused.stdout)["error"]["detail"]


@pytest.mark.parametrize(
    "text",
    [
        "kind: \x90",
        "kind: \ud800",
        "[" * 5_000,
        "a: &a [*a]",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "kind: !!int x",
        "kind: !!bool x",
        "kind: !!timestamp x",
        "kind: !!float ''",
        "kind: !!int ''",
        "kind: !!binary é",
        f"kind: {'9' * 5_000}",
        "? [a]\n: b",
        "? {a: b}\n: b",
        "kind: .nan",
        "",
        "\x00",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_a_text_that_is_no_document_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(InvalidField) as refused:
        read_rollouts(text, "spec")
    assert refused.value.detail.startswith("spec:")
