"""The words of former days do not come back: neither as names in the code nor in the glossary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("core", "canary", "imaging", "models", "observability", "registry", "ledger", "serve_apps")
GLOSSARY = ROOT / "docs/glossary.md"
OLD = {
    "fleet": "routing snapshot",
    "desk": "admission controller, webhook receiver",
    "bell": "wakeup",
    "owed": "pending",
    "wish": "decision, desired state",
    "wishes": "decisions, desired state",
    "wished": "asked",
    "standing": "status, condition",
    "grounds": "assignment reason",
    "arena": "receive buffers",
    "niceness": "CPU priority",
    "quiet": "stable age",
}
OLD_CLASSES = ("Look", "Memory", "Answer", "Reading")  # `look`, `memory_bytes` and `reading` are other things


def words_of(name: str) -> list[str]:
    """`ModelObservation` and `model_observation` are both model and observation."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def modules() -> list[Path]:
    return [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]


def test_no_name_in_the_code_is_an_old_word() -> None:
    old = {}
    for path in modules():
        names = set(names_in(ast.parse(path.read_text()))) | {path.stem}
        for name in names:
            if name in OLD_CLASSES or OLD.keys() & words_of(name):
                old[f"{path.relative_to(ROOT)}: {name}"] = [OLD[w] for w in words_of(name) if w in OLD]
    assert old == {}, "these have other names now"


def test_the_glossary_holds_each_word_once_and_no_old_one() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", GLOSSARY.read_text(), re.MULTILINE)
    words = [word.strip() for row in rows for word in row.split(",") if row not in ("word", "---")]
    assert len(words) > 60
    assert len(words) == len(set(words))
    assert not {w for word in words for w in words_of(word)} & OLD.keys()


def test_old_words_are_found() -> None:
    names = set(
        names_in(ast.parse("class FleetView:\n    def ring_bell(self, wishes): self.owed_readings = 1"))
    )
    assert {word for name in names for word in words_of(name)} & OLD.keys() == {
        "fleet",
        "bell",
        "wishes",
        "owed",
    }
