"""Demo models are registered into an empty registry of our own only, and an interrupted start is completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from models.zoo.ich.broken_build import HalfPrecisionBone
from registry.client import ModelVersion, RegisteredModel
from serve_apps.cli.bring_up import demo_settings
from serve_apps.embedded import demo_models
from serve_apps.embedded.demo_models import DEMO_MODELS, DemoVersion
from serve_apps.embedded.demo_registry import (
    DEMO_NAMES,
    Mark,
    are_due,
    complete,
    mark,
    read_mark,
    register_demo_models,
)
from serve_apps.settings import Settings


class Registry:
    """Keeps how many versions a model has, and its aliases."""

    def __init__(self, versions: int, **aliases: str) -> None:
        self.count, self.aliases = versions, aliases

    def models(self) -> Mapping[str, RegisteredModel]:
        return {"ich-triage": RegisteredModel("ich-triage", dict(self.aliases))} if self.count else {}

    def versions(self, name: str) -> Sequence[object]:
        return range(self.count)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = version

    def register(self, name: str, present: int) -> None:
        self.count = 4


@pytest.mark.parametrize(
    ("reached", "models", "due"),
    [
        (None, {}, True),
        (None, {"theirs": object()}, False),
        (Mark.BEGUN, {"ich-triage": object()}, True),
        (Mark.COMPLETE, {}, False),
        (Mark.COMPLETE, {"ich-triage": object()}, False),
    ],
)
def test_demo_models_are_due_in_an_empty_registry_and_until_they_are_complete(
    reached: Mark | None, models: Mapping[str, object], due: bool
) -> None:
    assert are_due(reached, models) is due


@pytest.mark.parametrize("interrupted_after", range(5))
def test_what_an_interrupted_start_left_out_is_completed(interrupted_after: int) -> None:
    registry = Registry(interrupted_after)
    asked: list[int] = []

    def register(name: str, present: int) -> None:
        asked.append(present)
        registry.register(name, present)

    complete(registry, "ich-triage", register)
    assert asked == [interrupted_after]
    assert registry.aliases == {"champion": "1"}


def test_a_champion_that_is_set_stays() -> None:
    registry = Registry(4, champion="3")
    complete(registry, "ich-triage", registry.register)
    assert registry.aliases == {"champion": "3"}


def test_the_mark_reads_as_written(tmp_path: Path) -> None:
    path = tmp_path / "mlflow" / "demo-models"
    assert read_mark(path) is None
    for reached in Mark:
        mark(path, reached)
        assert read_mark(path) is reached


def test_a_site_s_own_registry_is_not_even_asked(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings(mlflow_url="http://registry.invalid", state_dir=tmp_path)
    assert not register_demo_models(settings, told.append)
    assert told == ["the registry is the site's own: no demo model is registered"]
    assert not settings.paths.demo_mark.exists()


def test_only_a_site_of_demo_models_lets_uncleared_versions_answer_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert demo_settings().site_policy == "research"
    monkeypatch.setenv("SERINUS_MLFLOW_URL", "http://registry.invalid")
    assert demo_settings().site_policy == "strict"


def test_the_broken_build_is_in_no_registry_before_somebody_asks_for_it() -> None:
    (model,) = (model for model in DEMO_MODELS if model.name == "ich-triage")
    (broken,) = model.on_demand
    assert len(model.versions) == 4
    assert broken not in model.versions
    assert model.chosen(None) == model.versions
    assert model.chosen(5) == (broken,)
    assert model.chosen(2) == model.versions[1:2]
    assert model.chosen(6) == ()


def test_the_broken_build_is_registered_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registered: list[DemoVersion] = []

    def register(settings: Settings, version: DemoVersion) -> ModelVersion:
        registered.append(version)
        return ModelVersion("ich-triage", "5", source="")

    monkeypatch.setattr(demo_models, "register_version", register)
    settings = Settings(state_dir=tmp_path)
    assert demo_models.register_broken_build(settings).version == "5"
    (version,) = registered
    assert "A broken build" in version.card()
    assert isinstance(version.build(settings)[0], HalfPrecisionBone)


def test_the_names_are_those_of_the_demo_models() -> None:
    assert tuple(model.name for model in DEMO_MODELS) == DEMO_NAMES
