"""The arrows inside serve_apps, read from the imports: what faces outwards knows what lies further in, never back.

deployments ──► api · control ──► adapters ──► application ──► settings        cli ──► embedded ──► adapters
                                                                         cli · api ──► rollout_spec
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = "serve_apps"
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "app": frozenset({"deployments", "settings"}),
    "deployments": frozenset({"api", "control", "adapters", "application", "settings", "resources"}),
    "api": frozenset({"application", "rollout_spec", "settings"}),
    "control": frozenset({"adapters", "application", "settings", "resources"}),
    "cli": frozenset(
        {"app", "application", "embedded", "rollout_spec", "settings"}
    ),  # `app`: what a config may name
    "embedded": frozenset({"adapters", "application", "settings"}),
    "adapters": frozenset({"application", "settings", "resources"}),
    "application": frozenset({"settings", "resources"}),
    "rollout_spec": frozenset(),
    "settings": frozenset({"resources"}),
    "resources": frozenset(),
}
MAY_KNOW: Mapping[str, frozenset[str]] = {
    "ray": frozenset(
        {
            "app",
            "deployments",
            "adapters",
            "control.ray_serve",
            "embedded.ray_start",
            "cli.config_check",
        }
    ),
    "fastapi": frozenset({"api", "deployments.ingress"}),
    "starlette": frozenset({"api"}),
    "sse_starlette": frozenset({"api"}),
    "pydantic": frozenset({"api", "rollout_spec", "settings", "cli.config_check"}),
    "pydantic_settings": frozenset({"settings"}),
    "typer": frozenset({"cli"}),
    "jinja2": frozenset({"application.evidence_page.page"}),
    "sqlalchemy": frozenset(),
    "mlflow": frozenset(),
}


def modules() -> list[Path]:
    return sorted((ROOT / SHELL).rglob("*.py"))


def name_of(path: Path) -> str:
    """The module's name below serve_apps; empty for serve_apps itself."""
    name = ".".join(path.relative_to(ROOT / SHELL).with_suffix("").parts)
    return name.removesuffix("__init__").removesuffix(".")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def arrows() -> Iterator[tuple[str, str]]:
    """Every import of one part of the shell by another, without the prefix."""
    for path in modules():
        for imported in set(imports(path)):
            if imported.startswith(f"{SHELL}."):
                yield name_of(path), imported.removeprefix(f"{SHELL}.")


def is_upward(importer: str, imported: str) -> bool:
    layer, below = importer.split(".")[0], imported.split(".")[0]
    return layer != below and below not in MAY_IMPORT[layer]


def test_the_layers_are_no_circle() -> None:
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert set(order) == set(MAY_IMPORT)
    assert {name_of(path).split(".")[0] for path in modules()} - {""} == set(MAY_IMPORT)


def test_arrows_inside_the_shell_only_point_inwards() -> None:
    assert {arrow for arrow in arrows() if is_upward(*arrow)} == set()


@pytest.mark.parametrize("library", MAY_KNOW)
def test_each_library_is_known_where_it_belongs(library: str) -> None:
    allowed = MAY_KNOW[library]
    knowing = {
        name_of(path) for path in modules() if library in {name.split(".")[0] for name in imports(path)}
    }
    assert {name for name in knowing if name not in allowed and name.split(".")[0] not in allowed} == set()


def test_only_the_edge_raises_problems() -> None:
    """Below the API an error is one of `core.errors`; one table there makes it HTTP."""
    raising = {name_of(path) for path in modules() if "raise Problem(" in path.read_text()}
    assert {name.split(".")[0] for name in raising} == {"api"}
