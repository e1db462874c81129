"""Our own Ray head: explicit ports, everything under one short folder.

Ray listens on every interface whatever it is told, so that calls need the token in the state folder; the
dashboard and the HTTP proxy do bind to loopback.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from core.private_files import private_folder
from serve_apps.adapters.cpu_priority import CONTROL_PLANE
from serve_apps.adapters.memory_guard import ROUTERS
from serve_apps.embedded.health import dashboard_answers
from serve_apps.embedded.ports import free_ports
from serve_apps.settings import Settings

NODE_IP = "127.0.0.2"  # Ray replaces 127.0.0.1 by the address of the network card
SOCKET_PATH_LIMIT = 107  # of the kernel, for a Unix socket
LONGEST_SOCKET = (
    "/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_MetricsHead"  # with the largest pid
)
START_TIMEOUT_S = 90.0
# Ray looks at everything many times a second, also when nothing happens (benchmarks/README.md: what an idle stack
# costs). Serve's control loop takes its steps, the start of a replica or of its successor, twice a second instead of
# ten times; what notices a dead replica, the health check, is left as it is. The names in small letters are Ray's own
# (ray_config_def.h); every worker has them too.
SELDOM: Mapping[str, str] = MappingProxyType(
    {
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "10000",
        "RAY_SERVE_EVENT_LOOP_MONITORING_INTERVAL_S": "60",
        "RAY_enable_metrics_collection": "false",  # Ray's own Prometheus metrics; ours go by OpenTelemetry
        "RAY_raylet_report_resources_period_milliseconds": "1000",
        "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
        "RAY_raylet_check_gc_period_milliseconds": "2000",
        "RAY_object_manager_timer_freq_ms": "1000",
        "RAY_local_fs_monitor_interval_ms": "2000",
        "RAY_kill_idle_workers_interval_ms": "2000",
        "RAY_ray_syncer_message_refresh_interval_ms": "30000",
        "RAY_debug_dump_period_milliseconds": "0",
        "RAY_event_stats": "false",  # it counts and times every look of every worker
        "RAY_io_context_monitor_probe_interval_ms": "30000",
        "RAY_core_worker_internal_heartbeat_ms": "10000",
        "RAY_report_worker_backlog_interval_ms": "10000",
        "RAY_raylet_death_check_interval_milliseconds": "5000",
        "RAY_grpc_client_check_connection_status_interval_milliseconds": "10000",
        "RAY_task_events_report_interval_ms": "0",  # the dashboard's list of calls; ours go by OpenTelemetry
        "RAY_enable_timeline": "false",
        "RAY_memory_monitor_refresh_ms": "1000",
        "RAY_health_check_period_ms": "10000",  # of the raylet: there is one, and it ends with the head
        "RAY_DASHBOARD_AGENT_CHECK_PARENT_INTERVAL_S": "5",
        "EVENT_AGENT_REPORT_INTERVAL_SECONDS": "5",
        "REPORTER_UPDATE_INTERVAL_MS": "60000",
        "METRICS_RECORD_INTERVAL_S": "60",
        "SCAN_EVENT_DIR_INTERVAL_SECONDS": "60",
        "NODE_STATS_UPDATE_INTERVAL_SECONDS": "60",
        "GCS_CHECK_ALIVE_INTERVAL_SECONDS": "30",
    }
)


class RayDidNotStart(RuntimeError):
    """The Ray head did not answer in time; the message says where its log lies."""


def ray_directory(settings: Settings) -> Path:
    """The state folder's `ray`, or a short stand-in where that path is too long for a Unix socket.

    Ray lets everybody write into its folders, so that the folder above is private.
    """
    wanted = settings.paths.ray
    if len(str(wanted)) + len(LONGEST_SOCKET) <= SOCKET_PATH_LIMIT:
        return wanted
    digest = hashlib.blake2b(str(wanted).encode(), digest_size=5).hexdigest()
    return Path(tempfile.gettempdir()) / f"serinus-{digest}" / "r"


def ray_environment(settings: Settings) -> dict[str, str]:
    """What every Ray process and command line of this stack needs to find it, and nothing else's."""
    environment = dict(os.environ)
    environment |= SELDOM
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "RAY_TMPDIR": str(ray_directory(settings)),
        "RAY_AUTH_MODE": settings.ray_auth_mode,
        "RAY_AUTH_TOKEN_PATH": str(settings.paths.ray_token),
        "RAY_ADDRESS": f"{NODE_IP}:{settings.ray_port}",
        "RAY_API_SERVER_ADDRESS": settings.dashboard_url,
        "RAY_DASHBOARD_ADDRESS": settings.dashboard_url,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1" if settings.haproxy else "0",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_apps.deployments.edge:middlewares",
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": str(CONTROL_PLANE),  # readers and models lower theirs
        "RAY_worker_oom_score_adjustment": str(ROUTERS),  # readers and models raise theirs, and go first
        "SERINUS_STATE_DIR": str(settings.paths.root),
        "SERINUS_SITE_POLICY": settings.site_policy.value,
    }
    return environment


def start_ray(settings: Settings) -> int:
    """Start the head in its own session and wait until its dashboard answers. Returns the leader's pid."""
    directory = ray_directory(settings)
    private_folder(directory.parent)
    private_folder(directory / "ray")
    settings.paths.logs.mkdir(parents=True, exist_ok=True)
    log = settings.paths.logs / "ray.log"
    environment = ray_environment(settings)
    environment.pop("RAY_ADDRESS")
    with log.open("ab") as sink:
        process = subprocess.Popen(
            _command(settings, directory),
            env=environment,
            stdout=sink,
            stderr=sink,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    _wait_ready(settings, process, log)
    return process.pid


def _command(settings: Settings, directory: Path) -> list[str]:
    agent, agent_grpc, env_agent, metrics = free_ports(4)
    command = [sys.executable, "-m", "serve_apps.embedded.ray_start", settings.ray_dashboard_modules]
    command += ["start", "--head", "--block"]
    command += ["--node-ip-address", NODE_IP, "--port", str(settings.ray_port)]
    command += ["--dashboard-host", "127.0.0.1", "--dashboard-port", str(settings.ray_dashboard_port)]
    command += ["--dashboard-agent-listen-port", str(agent), "--dashboard-agent-grpc-port", str(agent_grpc)]
    command += ["--runtime-env-agent-port", str(env_agent), "--metrics-export-port", str(metrics)]
    command += ["--min-worker-port", "0", "--max-worker-port", "0"]
    command += ["--temp-dir", str(directory), "--disable-usage-stats"]
    command += [
        "--include-log-monitor",
        "false",
        "--no-monitor",
    ]  # no driver listens, and one node is all there is
    if settings.ray_cpus is not None:
        command += ["--num-cpus", str(settings.ray_cpus)]
    return command


def _wait_ready(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RayDidNotStart(f"the Ray head ended with exit code {process.returncode}; see {log}")
        if dashboard_answers(settings):
            return
        time.sleep(0.2)
    raise RayDidNotStart(f"the Ray head did not answer within {START_TIMEOUT_S:.0f} s; see {log}")
