"""What all parts of a spec have in common: names in camelCase, and no field that is unknown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """Strict: nothing is converted that does not fit, and an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Metadata(Wire):
    name: str
    """What others call it; for a template, the name by which a rollout refers to it."""


class TemplateRef(Wire):
    template_name: str
    """The `metadata.name` of an AnalysisTemplate in this file."""
