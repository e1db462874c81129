"""`serinus rollout simulate`: what it is told, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from serve_apps.cli.main import app

ROOT = Path(__file__).parents[3]
FILE = ROOT / "examples/rollouts/chest-ct.yaml"
SITE = (
    "--studies-per-day",
    "400",
    "--prevalence",
    "0.1",
    "--begin",
    "2026-06-01",
    "--days",
    "20",
    "--runs",
    "3",
)


def run(*arguments: str, file: Path = FILE, exit_code: int = 0) -> str:
    done = CliRunner().invoke(app, ["rollout", "simulate", str(file), *SITE, *arguments])
    assert done.exit_code == exit_code, done.output
    return done.stdout


def document(*arguments: str, file: Path = FILE) -> dict[str, Any]:
    (found,) = json.loads(run(*arguments, "--json", file=file))
    assert isinstance(found, dict)
    return found


def test_a_document_holds_what_came_and_all_that_it_went_by() -> None:
    found = document("--scenario", "broken")
    assert (found["rollout"], found["scenario"], found["runs"]) == ("chest-ct-nodule", "broken", 3)
    assert found["shares"]["failed"] == 1.0
    assert found["reasons"][0]["example"].startswith("shadow-failures failed")
    assert len(found["steps"]) == 9
    assert (found["seed"], found["begin"], found["days"]) == (1, "2026-06-01T08:00:00+00:00", 20.0)
    assert (found["look_every_s"], found["not_simulated"]) == (21_600.0, ["latency"])
    assert found["assumptions"]["own_failures"] == 0.1


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    one, same, other = (document("--seed", seed) for seed in ("7", "7", "8"))
    assert one == same
    assert one["steps"] != other["steps"]


def test_what_is_named_counts_before_the_scenario() -> None:
    words = (
        "--scenario",
        "better",
        "--sensitivity",
        "0.7",
        "--own-failures",
        "0.02",
        "--truth-after",
        "never",
    )
    site = document(*words, "--approve-after", "12h", "--accuracy", "0.8")["assumptions"]
    assert (site["accuracy"], site["sensitivity"], site["own_failures"]) == (0.8, 0.7, 0.02)
    assert site["specificity"] == pytest.approx(0.83)
    assert (site["truth_after_s"], site["approve_after_s"], site["resume_after_s"]) == (None, 43_200, None)


def test_a_person_is_told_shares_steps_costs_reasons_and_assumptions() -> None:
    told = run("--scenario", "worse")
    for words in (
        "chest-ct-nodule, worse: failed 100 %",
        "the candidate reads 100 % of the studies as a shadow",
        "exposed studies",
        "specificity failed: after",
        "right: champion 0.9, candidate 0.8 and 0.8",
        "looked at every 6 h and when a window opens",
        "without studies here, and so without data: latency",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--truth-after", "soon"), "a number and a unit"),
        (("--look-every", "1"), "a number and a unit"),
        (("--begin", "9999-12-31"), "begins within"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(arguments: tuple[str, ...], told: str) -> None:
    refused = json.loads(run(*arguments, "--json", exit_code=1))
    assert refused["error"]["code"] == "invalid-field"
    assert told in refused["error"]["detail"]


def test_an_unknown_scenario_is_refused() -> None:
    run("--scenario", "perfect", exit_code=2)


def test_a_file_with_mistakes_is_not_simulated(tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text("kind: ModelRollout\n")
    run(file=file, exit_code=1)


def test_names_are_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text(FILE.read_text().replace("roles: [radiologist, quality]", 'roles: ["[/red]", quality]'))
    assert "[/red]" in run("--days", "3", file=file)


def test_it_needs_neither_ray_nor_torch_nor_mlflow() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from serve_apps.cli.main import app\n"
        f"done = CliRunner().invoke(app, ['rollout', 'simulate', {str(FILE)!r}, *{SITE!r}, '--days', '2'])\n"
        "assert done.exit_code == 0, done.output\n"
        "print(sorted({'ray', 'torch', 'mlflow', 'sqlalchemy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
