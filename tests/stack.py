"""A whole Serinus stack for end-to-end tests: real Ray, real MLflow, the real command, on free ports.

Everything goes through the `serinus` command and HTTP, as a user's would; only `kill` looks at processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml

from registry.process_group import MarkedProcesses
from serve_apps.embedded.lifecycle import effective_config, serve_deploy
from serve_apps.embedded.ports import free_ports
from serve_apps.embedded.processes import STACK_ID, end_processes, owned_processes
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import Settings

T = TypeVar("T")
ROOT = Path(__file__).parents[1]


class LiveStack:
    """One stack in `folder`; `sources` are added to the built-in ones, `settings` override the defaults."""

    def __init__(self, folder: Path, sources: Sequence[Mapping[str, Any]] = (), **settings: Any) -> None:
        api, mlflow, ray, dashboard = free_ports(4)
        self.environment = dict(os.environ) | {
            "SERINUS_STATE_DIR": str(folder),
            "SERINUS_API_PORT": str(api),
            "SERINUS_MLFLOW_PORT": str(mlflow),
            "SERINUS_RAY_PORT": str(ray),
            "SERINUS_RAY_DASHBOARD_PORT": str(dashboard),
            "SERINUS_SITE_POLICY": "research",
            "SERINUS_INPUT_CHECK": "note",  # most stories read cartoons, which are no heads
            "SERINUS_SOURCES": json.dumps(list(sources)),
            "SERINUS_LEASE_S": "6",
            "SERINUS_STABLE_AGE_S": "1",
            "SERINUS_CALLBACK_HOSTS": '["127.0.0.1"]',
        }
        for name, value in settings.items():
            self.environment[f"SERINUS_{name.upper()}"] = (
                value if isinstance(value, str) else json.dumps(value)
            )
        self.settings = Settings(
            state_dir=folder, api_port=api, mlflow_port=mlflow, ray_port=ray, ray_dashboard_port=dashboard
        )

    # ---- the command

    def run(self, *arguments: str, timeout_s: float = 400) -> dict[str, Any]:
        """A command with --json; its document. Raises CommandFailed with what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "serinus"), *arguments, "--json"],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(done.stdout + done.stderr)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def up(self, *, demo: bool = False) -> dict[str, Any]:
        return self.run("up", "--demo" if demo else "--no-demo")

    def up_in_foreground(self) -> subprocess.Popen[bytes]:
        """The command that stays and keeps the stack up, once the stack is ready."""
        command = [str(Path(sys.executable).parent / "serinus"), "up", "--foreground", "--no-demo"]
        process = subprocess.Popen(command, env=self.environment, cwd=ROOT)

        def is_ready() -> bool | None:
            assert process.poll() is None, "the command ended before the stack was ready"
            with self.http(timeout_s=10) as http:
                return True if http.get("/readyz").status_code == 200 else None

        eventually(is_ready, 180, "the stack to be ready")
        return process

    def down(self) -> None:
        """`serinus down`; when it returns nothing that it has to end lives, not even what lost its mark meanwhile."""
        stack = Stack.load(self.settings.paths.stack)
        before = MarkedProcesses(STACK_ID, stack.id).marked() if stack else ()
        self.run("down")
        left = [process for process in before if process.is_running() and process.status() != "zombie"]
        assert left == [], "serinus down has returned"

    def deploy(self, change: Callable[[dict[str, Any]], None]) -> None:
        """`serve deploy` of the stack's config as `change` leaves its application."""
        document = yaml.safe_load(effective_config(self.settings).read_text())
        change(document["applications"][0])
        changed = self.settings.paths.root / "changed.yaml"
        changed.write_text(yaml.safe_dump(document))
        serve_deploy(self.settings, changed)

    def scale(self, **replicas: int) -> None:
        """So many replicas of each named deployment; returns when all of them run."""

        def change(application: dict[str, Any]) -> None:
            for deployment in application["deployments"]:
                if deployment["name"] in replicas:
                    deployment.pop("autoscaling_config", None)
                    deployment["num_replicas"] = replicas[deployment["name"]]

        self.deploy(change)
        for name, count in replicas.items():
            title = f"ServeReplica:serinus:{name}"
            eventually(lambda t=title, n=count: len(self.processes(t)) >= n or None, 120, f"{count} x {name}")  # type: ignore[misc]

    # ---- HTTP

    @property
    def key(self) -> str:
        return self.settings.paths.api_key.read_text().strip()

    def http(self, key: str | None = None, timeout_s: float = 120) -> httpx.Client:
        headers = {"X-API-Key": self.key if key is None else key}
        return httpx.Client(base_url=self.settings.api_url, headers=headers, timeout=timeout_s)

    def submit(self, study_uid: str, source: str, **more: Any) -> str:
        """A job that reads the study, whatever was read before, unless `force=False` is said."""
        body = {"study_uid": study_uid, "source": source, "force": True, **more}
        with self.http() as http:
            answer = http.post("/v1/jobs", json=body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

    def finished(self, job_id: str, within_s: float = 120) -> dict[str, Any]:
        """The job when it has finished; tries again while the router is being replaced."""
        return eventually(lambda: self._finished(job_id), within_s, f"job {job_id} to finish")

    def _finished(self, job_id: str) -> dict[str, Any] | None:
        with self.http(timeout_s=10) as http:
            job = http.get(f"/v1/jobs/{job_id}").json()
        return job if job.get("state") in ("completed", "failed", "canceled") else None

    # ---- violence

    def processes(self, title: str) -> list[int]:
        """Processes of this stack whose command line holds `title` (`ray::ServeReplica:serinus:StudyReader`, …)."""
        return [pid for pid in owned_processes(self.stack_id) if title in command_line(pid)]

    def kill(self, title: str) -> int:
        """SIGKILL what matches; returns how many there were."""
        pids = self.processes(title)
        kill_now(pids)
        return len(pids)

    def kill_everything(self) -> None:
        """SIGKILL every process of the stack at once, as a power cut would."""
        kill_now(owned_processes(self.stack_id))
        assert end_processes(self.stack_id).remaining == {}

    @property
    def alive(self) -> int:
        return len(owned_processes(self.stack_id))

    @property
    def stack_id(self) -> str:
        """What marks every process of the stack."""
        stack = Stack.load(self.settings.paths.stack)
        assert stack is not None
        return stack.id


class CommandFailed(AssertionError):
    """A command ended with an error."""


def command_line(pid: int) -> str:
    """Empty for a process that is gone."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def kill_now(pids: Iterable[int]) -> None:
    """SIGKILL each that is still there; some end with the one before them."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def eventually(attempt: Callable[[], T | None], within_s: float, what: str) -> T:
    """The first answer of `attempt` that is not None or an HTTP error."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            found = attempt()
        except httpx.HTTPError:
            found = None
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {within_s:.0f} s for {what}")
