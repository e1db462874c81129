"""The tutorial, as a reader runs it: its own commands on a live stack, from a trained network to an ONNX champion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ledger import Ledger
from tests.stack import ROOT, LiveStack, eventually

TUTORIAL = ROOT / "docs/your-own-model.md"
COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODEL = "bright-spots"
STATE = ".serinus/"  # the state folder of `make up`, in whose place is that of the test's stack


def script(site: LiveStack) -> str:
    """All commands of the tutorial; the first that fails ends it."""
    commands = "\n".join(COMMANDS.findall(TUTORIAL.read_text()))
    assert commands.count("serinus submit") == 3
    return "set -euo pipefail\n" + commands.replace(STATE, f"{site.settings.state_dir}/")


def test_the_tutorial_leads_from_a_network_to_an_onnx_champion(stack: LiveStack, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script(stack)],
        env=stack.environment | {"PATH": path, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answered = re.findall(rf"^version +{MODEL} (\d)", done.stdout, re.MULTILINE)
    assert answered == ["1", "1", "2"], done.stdout

    def shadowed() -> set[str] | None:
        return {each.version for each in ledger.shadows.outcomes(MODEL) if each.role == "shadow"} or None

    ledger = Ledger.open(stack.settings.ledger)
    assert eventually(shadowed, 90, "the shadow's reading") >= {"2"}
