"""A spec as its author writes it: YAML, with every mistake told by its line, its field and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from core.codec import faults_of, schema_of
from core.errors import ModelRefused
from models.spec import ModelSpec, spec_from_json

MOST_TOLD: Final = 20
SCHEMA_ID: Final = "model-spec.schema.json"
Marks = Mapping[str, yaml.Mark]


def read_spec(text: str, name: str) -> ModelSpec:
    """The spec in a file called `name`. Raises ModelRefused: for each mistake `file:line:column: field: reason`."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ModelRefused(f"{_place(name, mark)}: {error.problem or error.context}") from None
    marks = dict(_marks(root, "")) if root is not None else {}
    told = [
        *_doubled(root, name),
        *(_told(name, marks, f.pointer, f.problem) for f in faults_of(ModelSpec, document)),
    ]
    if told:
        more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
        raise ModelRefused("\n".join([*told[:MOST_TOLD], *more]))
    return spec_from_json(document)


def spec_schema() -> dict[str, Any]:
    """The JSON Schema of a spec, for editors: names, kinds, choices and defaults of all fields."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return schema | schema_of(ModelSpec)


def _told(name: str, marks: Marks, pointer: str, problem: str) -> str:
    """A field that is missing has no place of its own: that of what it is missing from is told."""
    known = pointer
    while known not in marks and known.strip("/"):
        known = known.rpartition("/")[0]
    return f"{_place(name, marks.get(known if known != '/' else ''))}: {pointer}: {problem}"


def _place(name: str, mark: yaml.Mark | None) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def _marks(node: yaml.Node, pointer: str) -> Iterator[tuple[str, yaml.Mark]]:
    """Where each value of the document begins, a mapping's by its key; by JSON pointer."""
    yield pointer, node.start_mark
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = f"{pointer}/{key.value}"
            yield from _marks(value, step)
            yield step, key.start_mark
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _marks(value, f"{pointer}/{index}")


def _doubled(node: yaml.Node | None, name: str) -> Iterator[str]:
    """Keys that stand twice in a mapping: YAML would take the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield f"{_place(name, key.start_mark)}: {key.value} stands here twice"
            seen.add(str(key.value))
            yield from _doubled(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _doubled(value, name)
