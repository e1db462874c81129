"""A strict check of a Serve config: Serve's own schema lets unknown keys pass at every level."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from serve_apps.app import deployments
from serve_apps.application.messages import RESERVED_PREFIX
from serve_apps.settings import Settings

FREE_FORM = frozenset({"args", "user_config", "runtime_env", "policy_kwargs", "resources", "label_selector"})
NESTED: Mapping[str, type[BaseModel]] = {"autoscaling_config": AutoscalingConfig}
IN_ENVIRONMENT = frozenset({"ledger_url", "state_dir"})
OUR_APPLICATION = "serve_apps.app:build"


def problems(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Every fault of a whole config, each with its path; empty when it may be deployed."""
    faults = [*_unknown_keys(ServeDeploySchema, config, ""), *_reserved_names(config), *_bad_args(config)]
    faults += _unknown_deployments(config)
    try:
        ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        faults += [f"{_path(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return tuple(faults)


def _unknown_keys(model: type[BaseModel], node: Mapping[str, Any], path: str) -> Iterator[str]:
    accepted = set(model.model_fields) | {f.alias for f in model.model_fields.values() if f.alias}
    for key, value in node.items():
        here = f"{path}.{key}".lstrip(".")
        if key not in accepted:
            yield f"{here}: unknown key"
        elif key not in FREE_FORM:
            yield from _descend(_model_of(model, key), value, here)


def _descend(model: type[BaseModel] | None, value: Any, path: str) -> Iterator[str]:
    if model is None:
        return
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if isinstance(item, Mapping):
            where = f"{path}[{index}]" if isinstance(value, list) else path
            yield from _unknown_keys(model, item, where)
            if model in NESTED.values():
                yield from _build(model, item, where)


def _build(model: type[BaseModel], item: Mapping[str, Any], path: str) -> Iterator[str]:
    """Serve keeps a nested config as a plain dict; only building it applies its own rules."""
    try:
        model(**item)
    except ValidationError as error:
        yield from (f"{path}: {fault['msg']}" for fault in error.errors())


def _model_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    if key in NESTED:
        return NESTED[key]
    field = model.model_fields.get(key)
    return next(_models(field.annotation), None) if field else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _reserved_names(config: Mapping[str, Any]) -> Iterator[str]:
    for index, app in enumerate(config.get("applications") or ()):
        if str(app.get("name", "")).startswith(RESERVED_PREFIX):
            yield f"applications[{index}].name: the prefix {RESERVED_PREFIX} belongs to the rollout controller"


def _unknown_deployments(config: Mapping[str, Any]) -> Iterator[str]:
    """Deployments that the application does not have.

    Serve refuses an unknown one only when it builds the application, in its log.
    """
    for index, app in enumerate(config.get("applications") or ()):
        if app.get("import_path") != OUR_APPLICATION:
            continue
        names = [deployment.name for deployment in deployments()]
        for place, deployment in enumerate(app.get("deployments") or ()):
            if deployment.get("name") not in names:
                where = f"applications[{index}].deployments[{place}].name"
                yield f"{where}: unknown deployment {deployment.get('name')}; there are {', '.join(names)}"


def _bad_args(config: Mapping[str, Any]) -> Iterator[str]:
    for index, app in enumerate(config.get("applications") or ()):
        where, args = f"applications[{index}].args", app.get("args") or {}
        for name in sorted(IN_ENVIRONMENT & args.keys()):
            variable = f"SERINUS_{name.upper()}"
            yield f"{where}.{name}: set {variable}: Serve's proxy, which reads no args, finds the keys by it"
        try:
            Settings(**args)
        except ValidationError as error:
            yield from (f"{where}.{_path(fault['loc'])}: {fault['msg']}" for fault in error.errors())


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)
