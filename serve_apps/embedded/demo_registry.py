"""The demo models go into an empty registry of our own, and nowhere else.

A mark in the registry's folder says that they were begun, or are complete: what an interrupted start left out is
registered by the next one, and what a person deletes after that stays deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from core.atomic_write import atomic_write
from registry.client import RegisteredModel, RegistryClient
from serve_apps.settings import Settings

DEMO_NAMES: Final = ("ich-triage", "brain-volume", "chest-film-qa")
CHAMPION: Final = "champion"
Progress = Callable[[str], None]


class Mark(StrEnum):
    """How far the demo models of a registry are."""

    BEGUN = "begun"
    COMPLETE = "complete"


class Registry(Protocol):
    """As much of a registry as is needed to complete what lies in it."""

    def models(self) -> Mapping[str, RegisteredModel]: ...

    def versions(self, name: str) -> Sequence[object]: ...

    def set_alias(self, name: str, alias: str, version: str) -> None: ...


def register_demo_models(settings: Settings, progress: Progress) -> bool:
    """Register what is due. Returns whether there is a demo model to ask."""
    if settings.mlflow_url is not None:
        progress("the registry is the site's own: no demo model is registered")
        return False
    registry = RegistryClient(settings.registry_url)
    if are_due(read_mark(settings.paths.demo_mark), registry.models()):
        from serve_apps.embedded.demo_models import register_missing  # torch, and the weights

        mark(settings.paths.demo_mark, Mark.BEGUN)
        for name in DEMO_NAMES:
            complete(
                registry, name, lambda name, present: register_missing(settings, name, present, progress)
            )
        mark(settings.paths.demo_mark, Mark.COMPLETE)
    return not registry.models().keys().isdisjoint(DEMO_NAMES)


def are_due(mark: Mark | None, models: Mapping[str, object]) -> bool:
    """Whether demo models are to be registered in a registry of our own that holds these `models`."""
    return mark is Mark.BEGUN or (mark is None and not models)


def complete(registry: Registry, name: str, register: Callable[[str, int], None]) -> None:
    """Have the versions registered that are not `present` yet; the first one is the champion unless there is one."""
    register(name, len(registry.versions(name)))
    if CHAMPION not in registry.models()[name].aliases:
        registry.set_alias(name, CHAMPION, "1")


def read_mark(path: Path) -> Mark | None:
    """None for a registry that was never given demo models."""
    return Mark(path.read_text()) if path.exists() else None


def mark(path: Path, reached: Mark) -> None:
    atomic_write(path, reached.encode())
