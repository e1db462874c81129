"""What the documents name exists: files and what they define, settings, commands, tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from serve_apps.cli.main import app
from serve_apps.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")])
FOLDERS = (ROOT, ROOT / "serve_apps")  # a path may leave out `serve_apps/`
LONGEST_LINE = 118
DEFINED = re.compile(r"\b((?:\w+/)*\w+\.py):([A-Za-z_]\w*(?:\.\w+)?)")
FILE = re.compile(
    r"\b((?:tests|docs|benchmarks|canary|core|ledger|registry|imaging|models)/[\w/-]+\.(?:py|md))\b"
)
SETTING = re.compile(r"\bSERINUS_([A-Z][A-Z_]+)\b")
COMMAND = re.compile(r"`serinus ([a-z][a-z|\\-]*)")
NO_SETTING = {"STACK_ID"}  # what processes of one stack inherit


def path_of(name: str) -> Path:
    found = [folder / name for folder in FOLDERS if (folder / name).is_file()]
    assert found, f"there is no {name}"
    return found[0]


@cache
def definitions(path: Path) -> frozenset[str]:
    return frozenset(_definitions(ast.parse(path.read_text())))


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{node.name}.")


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_and_definition_that_is_named_exists(document: Path) -> None:
    text = document.read_text()
    for name, defined in DEFINED.findall(text):
        assert defined in definitions(path_of(name)), f"{name} defines no {defined}"
    missing = [name for name in FILE.findall(text) if not (ROOT / name).is_file()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    named = {name.lower() for name in SETTING.findall(document.read_text())} - {n.lower() for n in NO_SETTING}
    assert named <= Settings.model_fields.keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_line_is_too_long(document: Path) -> None:
    lines = document.read_text().splitlines()
    assert [line for line in lines if len(line) > LONGEST_LINE and not line.startswith("|")] == []


def test_the_walks_of_the_architecture_name_where_each_step_is_taken() -> None:
    """A test that would pass on an empty page shows nothing."""
    assert len(DEFINED.findall((ROOT / "docs/architecture.md").read_text())) >= 60


def test_the_defaults_in_the_readme_are_those_of_the_settings() -> None:
    rows = re.findall(
        r"^\| `SERINUS_([A-Z_]+)` \| `([^`]*)` \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 15
    defaults = {name.lower(): Settings.model_fields[name.lower()].default for name, _ in rows}
    assert {name.lower(): text for name, text in rows} == {n: str(d) for n, d in defaults.items()}


def commands() -> set[str]:
    named = {command.name or "" for command in app.registered_commands}
    functions = {command.callback.__name__ for command in app.registered_commands if command.callback}
    return named | functions | {str(group.name) for group in app.registered_groups}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_is_named_exists(document: Path) -> None:
    named = {
        name for line in COMMAND.findall(document.read_text()) for name in line.replace("\\", "").split("|")
    }
    assert named <= commands() | {"command"}
