"""Runs what README.md tells a stranger to run, and ends the stack: `python -m tests.readme` in a clone that is up.

Whatever ends with another exit code than 0, and any process that outlives `make down`, is an error. So is a command
of the README that is neither run here nor said to be shown elsewhere.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from registry.process_group import MarkedProcesses
from serve_apps.embedded.processes import STACK_ID
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import load_settings

ROOT: Final = Path(__file__).parents[1]
README: Final = (ROOT / "README.md").read_text()
STUDY, JOB, BACKUP, MODEL = "STUDY", "JOB", "BACKUP", "ich-triage"
RUN: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "serve deploy serve_config.yaml": (),
        "serinus status": (),
        "serinus migrate": (),
        "serinus backup": (BACKUP,),
        "serinus purge --dry-run": (),
        "serinus purge": (),
        "serinus submit": (STUDY, "--json"),
        "serinus job": (JOB,),
        "serinus models list": (),
        "serinus models verify": (MODEL,),
        "serinus models schema": (),
        "serinus variants": (),
        "serinus rollout check": ("examples/rollouts/chest-ct.yaml",),
        "serinus route get": (),
        "serinus route safety-net": (MODEL, "20"),
        "serinus freeze": ("a drill",),
        "serinus unfreeze": (),
        "serinus keys create": ("ris", "--scope", "jobs:write", "--scope", "results:read"),
        "serinus keys list": (),
        "serinus keys revoke": ("ris",),
        "serinus explain": (JOB,),
        "serinus audit": (),
        "serinus samples": ("--only", "head-ct"),
        "serinus check-config": ("serve_config.yaml",),
    }
)
"""With which arguments a command is run; in this order."""

SHOWN: Mapping[str, str] = MappingProxyType(
    {
        "serinus up": "make up",
        "serinus down": "make down",
        "serinus up --foreground": "tests/e2e/test_crashes.py",
        "serinus restore": "tests/unit/shell/test_backup.py",
        "serinus models register": "tests/integration/registry",
        "serinus models sign": "tests/integration/registry",
        "serinus route set-weight": "tests/e2e/test_rollout_story.py",
        "serinus route set-layer": "tests/unit/shell",
        "serinus route shadow": "tests/e2e/test_rollout_story.py",
        "serinus route pin": "tests/unit/shell/test_routes_api.py",
        "serinus route rules": "tests/unit/shell/test_routes_api.py",
        "serinus route discard": "tests/e2e/test_outages.py",
        "serinus rollout plan": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout start": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout status": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout approve": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout pause": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout resume": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout promote": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout abort": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout retry": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout undo": "tests/unit/shell/test_rollout_command.py",
        "serinus rollout demo": "make rollout-demo",
        "serinus rollout simulate": "tests/unit/shell/test_rollout_simulate.py",
        "serinus rollout watch": "tests/unit/shell/test_rollout_watch.py",
        "serinus rollout evidence": "tests/unit/shell/test_rollout_evidence_command.py",
        "serinus rollout verify-evidence": "tests/unit/shell/test_rollout_evidence_command.py",
        "serinus rollout recall": "tests/unit/shell/test_recall_command.py",
        "serinus rollout recalls": "tests/unit/shell/test_recall_command.py",
        "serinus rollout recall-begin": "tests/unit/shell/test_recall_command.py",
        "serinus rollout recall-done": "tests/unit/shell/test_recall_command.py",
        "serinus replay": "tests/unit/shell/test_replay_command.py",
        "serinus replay list": "tests/unit/shell/test_replay_command.py",
        "serinus replay show": "tests/unit/shell/test_replay_command.py",
        "serinus replay cancel": "tests/unit/shell/test_replay_command.py",
        "serinus truth-set create": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth-set list": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth-set schedule": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth-set run": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth-set delete": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth-set results": "tests/unit/shell/test_truth_set_command.py",
        "serinus truth import": "tests/unit/shell/test_truth_document.py",
        "serinus truth show": "tests/unit/shell/test_truth_command.py",
        "serinus truth withdraw": "tests/unit/shell/test_truth_command.py",
        "serinus truth queue": "tests/unit/shell/test_truth_command.py",
        "serinus truth answer": "tests/unit/shell/test_truth_command.py",
        "serinus drift report": "tests/unit/shell/test_drift_command.py",
        "serinus drift accept": "tests/unit/shell/test_drift_command.py",
        "serinus drift acknowledge": "tests/unit/shell/test_drift_command.py",
        "serinus cost report": "tests/unit/shell/test_cost_command.py",
        "serinus ab start": "tests/e2e/test_rollout_story.py",
        "serinus ab show": "tests/e2e/test_rollout_story.py",
        "serinus ab end": "tests/e2e/test_rollout_story.py",
    }
)
"""What shows a command that is not run here."""


def commands_of(readme: str) -> list[str]:
    """Every command in the first cell of a table, without arguments, in the README's order."""
    rows = re.findall(r"^\| (`ser[^|]*(?:\\\|[^|]*)*) \|", readme, re.MULTILINE)
    return [command for row in rows for command in _commands_of_cell(row.replace("\\|", "|"))]


def curl_of(readme: str) -> str:
    """The call that the README shows, as one line for a shell."""
    (block,) = re.findall(r"^```\n(curl .*?)^```", readme, re.MULTILINE | re.DOTALL)
    return str(block).replace("\\\n", " ").strip()


def exports_of(readme: str) -> list[str]:
    """What the README has set in the shell before a command."""
    return [" ".join(export.split()) for export in re.findall(r"`(export [^`]+)`", readme)]


def _commands_of_cell(cell: str) -> Iterator[str]:
    """`serinus up` · `down` are two commands, `serinus keys create|list` are two; capitals are arguments."""
    for code in re.findall(r"`([^`]+)`", cell):
        words = code.split() if code.startswith(("serinus", "serve")) else ["serinus", *code.split()]
        *before, last = [word for word in words if not re.fullmatch(r"[A-Z_|]+", word)]
        yield from (" ".join([*before, choice]) for choice in last.split("|"))


def main() -> None:
    unknown = [command for command in commands_of(README) if command not in RUN.keys() | SHOWN.keys()]
    assert unknown == [], f"say how to run these, or what shows them: {unknown}"
    _run("make up")
    call = curl_of(README)
    values = {STUDY: re.findall(r'"study_uid": "([0-9.]+)"', call)[0]}
    assert '"findings"' in _run(call), "the call is answered with a result"
    with tempfile.TemporaryDirectory() as folder:
        values[BACKUP] = f"{folder}/backup.tar"
        for command, arguments in RUN.items():
            filled = [shlex.quote(values.get(argument, argument)) for argument in arguments]
            printed = _run(" ".join([command, *filled]))
            if command == "serinus submit":
                values[JOB] = json.loads(printed)["job"]["id"]
    _end()


def _run(command: str) -> str:
    """What the command prints, which is shown too. Exits with its exit code if that is not 0."""
    print(f"$ {command}", flush=True)
    shell = [f'PATH="{Path(sys.executable).parent}:$PATH"', *exports_of(README), command]
    done = subprocess.run(
        ["bash", "-c", "\n".join(shell)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    if done.returncode != 0:
        sys.exit(f"{command} ended with exit code {done.returncode}")
    return done.stdout


def _end() -> None:
    """`make down`, after which no process of the stack lives."""
    stack = Stack.load(load_settings().paths.stack)
    assert stack is not None
    before = MarkedProcesses(STACK_ID, stack.id).marked()
    assert before, "the stack is up"
    _run("make down")
    left = [process for process in before if process.is_running() and process.status() != "zombie"]
    if left:
        sys.exit(f"make down has returned, and these live: {left}")


if __name__ == "__main__":
    main()
