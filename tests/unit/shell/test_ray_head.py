"""How our Ray head is started: in its own folder, with its token, and looking at nothing more often than needed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from serve_apps.adapters.cpu_priority import LOWEST
from serve_apps.embedded.ray_head import SELDOM, ray_directory, ray_environment
from serve_apps.embedded.ray_start import ALL_MODULES, with_modules
from serve_apps.settings import Settings

PACKAGE = Path(ray.__file__).parent
CONSTANTS = [*PACKAGE.glob("dashboard/**/*consts.py"), PACKAGE / "serve/_private/constants.py"]
PROGRAMS = (PACKAGE / "core/src/ray/raylet/raylet", PACKAGE / "core/src/ray/gcs/gcs_server")


def test_a_long_state_folder_gets_a_short_directory_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60)
    assert not ray_directory(Settings(state_dir=deep)).is_relative_to(deep)
    assert ray_directory(Settings(state_dir=deep)) == ray_directory(Settings(state_dir=deep))
    assert ray_directory(Settings(state_dir=deep)).parent != Path(tempfile.gettempdir()), "Ray opens its own"


@given(st.integers(min_value=1, max_value=120))
def test_rays_sockets_fit_into_a_path_whatever_the_state_folder_is_called(length: int) -> None:
    directory = ray_directory(Settings(state_dir=Path("/") / ("x" * length)))
    socket = f"{directory}/session_2026-11-24_14-01-22_606649_4194304/sockets/dash_MetricsHead"
    assert len(socket) <= 107  # the kernel's room for the address of a Unix socket, without its final zero


def test_ray_is_told_its_token_and_the_sites_policy(tmp_path: Path) -> None:
    environment = ray_environment(Settings(state_dir=tmp_path, site_policy="research"))
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["SERINUS_SITE_POLICY"] == "research"
    assert environment.items() >= SELDOM.items()


def test_the_control_plane_comes_before_computation(tmp_path: Path) -> None:
    assert int(ray_environment(Settings(state_dir=tmp_path))["RAY_worker_niceness"]) < LOWEST


@pytest.mark.parametrize("name", [*SELDOM, "RAY_worker_niceness"])
def test_what_is_set_is_something_that_this_ray_reads(name: str) -> None:
    """Ray passes over a variable that it does not know, and an idle stack would cost more without a word."""
    in_python = any(f'"{name}"' in file.read_text() for file in CONSTANTS)
    in_core = any(name.removeprefix("RAY_").encode() in program.read_bytes() for program in PROGRAMS)
    assert in_python or (name.startswith("RAY_") and in_core)


@pytest.mark.parametrize("module", Settings().ray_dashboard_modules.split(","))
def test_the_dashboard_is_asked_for_modules_that_this_ray_has(module: str) -> None:
    """Of one that it does not know, the dashboard fails to start."""
    sources = [path.read_text() for path in PACKAGE.glob("dashboard/modules/*/*head.py")]
    assert any(f"class {module}(SubprocessModule" in source for source in sources)


def test_only_the_dashboard_is_told_its_modules_and_only_when_some_are_chosen() -> None:
    started: list[tuple[str, ...]] = []

    def start(command: list[str], process_type: str, *, stdout_file: int) -> int:
        started.append((process_type, *command))
        return stdout_file

    some, every = with_modules(start, "ServeHead,NodeHead"), with_modules(start, ALL_MODULES)
    assert some(["python", "dashboard.py"], "dashboard", stdout_file=3) == 3
    some(["gcs_server"], "gcs_server", stdout_file=3)
    every(["python", "dashboard.py"], "dashboard", stdout_file=3)
    assert started == [
        ("dashboard", "python", "dashboard.py", "--modules-to-load=ServeHead,NodeHead"),
        ("gcs_server", "gcs_server"),
        ("dashboard", "python", "dashboard.py"),
    ]
