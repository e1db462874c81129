"""A spec as its author writes it: YAML, with every mistake told by its line, its field and the reason."""

from __future__ import annotations

from typing import Any, Final

from core.codec import faults_of, schema_of
from core.errors import ModelRefused
from core.yaml_document import BrokenYaml, cut, read_documents
from models.spec import ModelSpec, spec_from_json

SCHEMA_ID: Final = "model-spec.schema.json"


def read_spec(text: str, name: str) -> ModelSpec:
    """The spec in a file called `name`. Raises ModelRefused: for each mistake `file:line:column: field: reason`."""
    try:
        document, *others = read_documents(text, name)
    except BrokenYaml as error:
        raise ModelRefused(str(error)) from None
    if others:
        raise ModelRefused(f"{name}: it holds {1 + len(others)} documents, and a version has one spec")
    if told := document.told(faults_of(ModelSpec, document.value)):
        raise ModelRefused(cut(told))
    return spec_from_json(document.value)


def spec_schema() -> dict[str, Any]:
    """The JSON Schema of a spec, for editors: names, kinds, choices and defaults of all fields."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return schema | schema_of(ModelSpec)
