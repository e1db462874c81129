"""Runs schemathesis on an API that is up; what it finds is in the assertion's text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def assert_nothing_is_found(url: str, key: str, *, seconds: int, seed: int = 1) -> None:
    """Every operation in every phase with every check but one, for about `seconds`."""
    command = [str(Path(sys.executable).parent / "schemathesis")]
    command += ["--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"{url}/openapi.json", "--header", f"X-API-Key: {key}", "--no-color"]
    command += ["--max-time", str(seconds), "--seed", str(seed), "--request-timeout", "20"]
    done = subprocess.run(
        command,
        env=dict(os.environ) | {"SCHEMATHESIS_HOOKS": "tests.described.hooks"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
