"""A file of rollouts and their templates: YAML, with every mistake told by its line, its field and the reason."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from canary.rollout.plan import RolloutPlan
from core.codec import InvalidDocument, faults_of, from_plain
from core.errors import InvalidField
from core.yaml_document import BrokenYaml, YamlDocument, cut, read_documents
from serve_apps.rollout_spec.rollout_wire import RolloutWire
from serve_apps.rollout_spec.template_wire import TemplateWire
from serve_apps.rollout_spec.to_plan import plan_of

SCHEMA_ID: Final = "rollout-spec.schema.json"
KINDS: Final[dict[str, type[RolloutWire] | type[TemplateWire]]] = {
    "ModelRollout": RolloutWire,
    "AnalysisTemplate": TemplateWire,
}
_Document = Annotated[RolloutWire | TemplateWire, Field(discriminator="kind")]


def read_rollouts(text: str, name: str) -> tuple[RolloutPlan, ...]:
    """The rollouts of a file called `name`, at least one, in its order.

    Raises InvalidField: for each mistake a line `file:line:column: field: reason`.
    """
    try:
        documents = read_documents(text, name)
    except BrokenYaml as error:
        raise InvalidField(str(error)) from None
    _refuse([line for document in documents for line in document.told(_faults(document))])
    wires = [(document, _wire(document)) for document in documents]
    templates = {wire.metadata.name: wire for _, wire in wires if isinstance(wire, TemplateWire)}
    _refuse(_named_twice(wires))
    plans: list[RolloutPlan] = []
    told: list[str] = []
    for document, wire in wires:
        if isinstance(wire, RolloutWire):
            found = plan_of(wire, templates)
            if isinstance(found, RolloutPlan):
                plans.append(found)
            else:
                told += document.told(found)
    _refuse(told)
    if not plans:
        raise InvalidField(f"{name}: it holds no ModelRollout")
    return tuple(plans)


def rollout_schema() -> dict[str, Any]:
    """The JSON Schema of one document of such a file, for editors."""
    schema = TypeAdapter[Any](_Document).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID} | schema


def _faults(document: YamlDocument) -> tuple[InvalidDocument, ...]:
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    wire = KINDS.get(kind) if isinstance(kind, str) else None
    if wire is None:
        return (InvalidDocument("/kind", f"kind is {' or '.join(KINDS)}"),)
    return faults_of(wire, document.value)


def _wire(document: YamlDocument) -> RolloutWire | TemplateWire:
    return from_plain(KINDS[document.value["kind"]], document.value)


def _named_twice(wires: list[tuple[YamlDocument, RolloutWire | TemplateWire]]) -> list[str]:
    seen: set[tuple[str, str]] = set()
    told: list[str] = []
    for document, wire in wires:
        named = (wire.kind, wire.metadata.name)
        if named in seen:
            told += document.told([InvalidDocument("/metadata/name", f"another {wire.kind} has that name")])
        seen.add(named)
    return told


def _refuse(told: list[str]) -> None:
    if told:
        raise InvalidField(cut(told))
