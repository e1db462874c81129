"""What lies in `deploy/` passes the linters of those who read it: systemd's and docker-compose's own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_apps.cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERINUS = "/opt/serinus/.venv/bin/serinus"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """The command is put where this checkout has it: systemd looks whether it is there."""
    unit = tmp_path / "serinus.service"
    here = str(Path(sys.executable).parent / "serinus")
    unit.write_text((DEPLOY / "serinus.service").read_text().replace(SERINUS, here))
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_what_is_wrong_with_a_unit(tmp_path: Path) -> None:
    """A linter that says yes to all would show nothing."""
    unit = tmp_path / "serinus.service"
    unit.write_text((DEPLOY / "serinus.service").read_text().replace("Restart=always", "Restart=alwys"))
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert "alwys" in done.stdout + done.stderr


def test_docker_compose_takes_the_file() -> None:
    done = run("docker-compose", "--file", "compose.yaml", "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_docker_compose_finds_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    text = (DEPLOY / "compose.yaml").read_text().replace("restart: always", "restrat: always")
    file.write_text(text.replace("- serinus.env", f"- {DEPLOY / 'serinus.env'}"))
    done = run("docker-compose", "--file", str(file), "config", "--quiet")
    assert done.returncode != 0
    assert "restrat" in done.stderr


def commands() -> list[list[str]]:
    """What the unit and the image start."""
    unit = (DEPLOY / "serinus.service").read_text().splitlines()
    image = (DEPLOY / "Dockerfile").read_text().splitlines()
    (started,) = (line.partition("=")[2] for line in unit if line.startswith("ExecStart="))
    (command,) = (line.partition(" ")[2] for line in image if line.startswith("CMD "))
    return [shlex.split(started), json.loads(command)]


@pytest.mark.parametrize("command", commands(), ids=["unit", "image"])
def test_what_they_start_is_a_command_of_ours(command: list[str]) -> None:
    assert Path(command[0]).name == "serinus"
    assert CliRunner().invoke(app, [*command[1:], "--help"]).exit_code == 0
