"""A command that only asks the API imports nothing of the models, of DICOM, of Ray or of the database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "pydicom",
    "highdicom",
    "mlflow",
    "ray",
    "sqlalchemy",
    "fastapi",
    "boto3",
    "onnx",
}
RUN = """
import json, resource, sys
from serve_apps.cli.main import app
app(json.loads(sys.argv[1]), standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"modules": modules, "cpu_s": used.ru_utime + used.ru_stime}))
"""


def top_level_modules(*arguments: str, folder: Path) -> set[str]:
    """The top-level modules that are loaded after a command, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        env=os.environ
        | {"SERINUS_STATE_DIR": str(folder), "SERINUS_API_PORT": "9", "SERINUS_MLFLOW_PORT": "9"}
        | {"SERINUS_RAY_DASHBOARD_PORT": "9"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout.splitlines()[-1])
    print(f"serinus {' '.join(arguments)}: {document['cpu_s']:.2f} s of CPU")
    return set(document["modules"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["up", "--help"],
        ["route", "--help"],
        ["status"],
        ["variants"],
        ["route", "set-weight", "ich-triage", "2", "10"],
        ["explain", "job-1"],
        ["job", "job-1"],
        ["freeze", "a drill"],
        ["cost", "report"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_asks_the_api_is_light(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "api_key").write_text("key")
    loaded = top_level_modules(*arguments, folder=tmp_path)
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_up_without_the_demo_imports_no_network() -> None:
    code = "import sys, serve_apps.cli.bring_up; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "highdicom", "mlflow", "ray", "sqlalchemy"} & set(done.stdout.split())
