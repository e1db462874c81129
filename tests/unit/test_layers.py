"""The arrows of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("core", "canary", "imaging", "models", "observability", "registry", "ledger", "serve_apps")
ADAPTERS = {
    "imaging.dicomweb",
    "imaging.dicomweb.client",
    "imaging.object_store",
    "imaging.folder",
    "observability.traces.sinks",
    "observability.traces.mlflow_experiment",
}
MAY_IMPORT = {
    "core": set(),
    "canary": {"core"},
    "imaging": {"imaging", "core"},
    "models": {"models", "imaging", "core"},
    "observability": {"observability", "core"},
    "registry": {"registry", "models", "imaging", "observability", "core"},
    "ledger": {"ledger", "canary", "observability", "core"},
    "serve_apps": set(OURS),
}
ONLY_IN = {"ray": "serve_apps", "mlflow": "registry", "sqlalchemy": "ledger", "alembic": "ledger"}


@cache
def modules() -> tuple[Path, ...]:
    return tuple(path for package in OURS for path in sorted((ROOT / package).rglob("*.py")))


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file imports, as they are written there."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return frozenset(found)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def arrows(package: str) -> Iterator[tuple[str, str]]:
    """Each import of a package's modules, by the module's name."""
    for path in modules():
        if path.relative_to(ROOT).parts[0] == package:
            yield from ((name_of(path), imported) for imported in imports(path))


def top(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("package", OURS)
def test_arrows_only_point_down(package: str) -> None:
    foreign = ((name, to) for name, to in arrows(package) if top(to) in OURS and top(to) != package)
    assert [arrow for arrow in foreign if top(arrow[1]) not in MAY_IMPORT[package]] == []


@pytest.mark.parametrize("package", OURS)
def test_each_outside_system_has_one_folder(package: str) -> None:
    assert [arrow for arrow in arrows(package) if ONLY_IN.get(top(arrow[1]), package) != package] == []


@pytest.mark.parametrize("package", ["core", "imaging", "models", "canary"])
def test_pure_modules_know_no_adapter(package: str) -> None:
    pure = ((name, to) for name, to in arrows(package) if name.removesuffix(".__init__") not in ADAPTERS)
    assert [arrow for arrow in pure if arrow[1] in ADAPTERS] == []


def test_the_environment_is_read_in_one_place() -> None:
    allowed = {
        "serve_apps.settings",
        "serve_apps.embedded.lifecycle",
        "serve_apps.embedded.notify",  # systemd says there where it listens
        "serve_apps.embedded.ray_head",
        "registry.mlflow_output",
        "registry.server",
    }
    readers = {name_of(p) for p in modules() if "os.environ" in p.read_text() or "getenv" in p.read_text()}
    assert readers <= allowed | {"registry.loading", "registry.register"}


def test_ray_is_known_where_deployments_and_their_callers_are_and_nowhere_else() -> None:
    """Use cases and decisions of the shell stay plain Python, so that a unit test can run them."""
    allowed = {
        "serve_apps.app",
        "serve_apps.deployments.ingress",
        "serve_apps.deployments.job_worker",
        "serve_apps.deployments.outbox",
        "serve_apps.deployments.shadow_worker",
        "serve_apps.cli.config_check",
        "serve_apps.deployments.rollout_controller",
        "serve_apps.control.ray_serve",
        "serve_apps.embedded.ray_start",
        "serve_apps.deployments.model_server",
        "serve_apps.adapters.broadcast",
        "serve_apps.adapters.serve_applications",
        "serve_apps.adapters.draining",
        "serve_apps.adapters.living_workers",
        "serve_apps.adapters.job_deployments",
        "serve_apps.adapters.serve_calls",
        "serve_apps.adapters.serve_inference",
        "serve_apps.adapters.shared_objects",
        "serve_apps.deployments.study_reader",
    }
    knowing = {name_of(p) for p in modules() if any(i.split(".")[0] == "ray" for i in imports(p))}
    assert knowing <= allowed
