"""The demo models as they go into the registry: what builds each, and what its page says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from torch import Tensor, nn

from models.input_check.reference import Reference
from models.spec import ModelSpec
from models.zoo import brain_volume, chest_film_qa, ct_features
from models.zoo.convert_astra import convert_astra
from models.zoo.demo import fetch_weights
from models.zoo.figures import digest_of, figures_of, origin_of
from models.zoo.ich import versions as ich
from models.zoo.ich.datasets import evaluation_digest, training_digest
from models.zoo.ich.trained import ON_DEMAND
from models.zoo.references import reference_of
from registry.client import ModelVersion, RegistryClient
from registry.package import MOST_DIGEST_CHARS
from registry.register import DatasetRef, Package, RegulatoryTags, register_model
from registry.signing import load_signing_key
from serve_apps.settings import Settings

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoVersion:
    """One version to register; `build` is called only when it is not there yet."""

    build: Callable[[Settings], tuple[nn.Module, ModelSpec]]
    example: Callable[[], Tensor]
    card: Callable[[], str]
    metrics: Callable[[], Mapping[str, Any]]
    datasets: Callable[[], tuple[DatasetRef, ...]] = tuple
    reference: Callable[[], Reference | None] = lambda: None


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A registered model with its versions in order. Those `on_demand` come after them, and only when asked for."""

    name: str
    versions: tuple[DemoVersion, ...]
    on_demand: tuple[DemoVersion, ...] = ()

    def chosen(self, number: int | None) -> tuple[DemoVersion, ...]:
        """Version `number`, from 1, as the zoo counts them, or all that a registry of demo models has."""
        return self.versions if number is None else (self.versions + self.on_demand)[number - 1 : number]


def _ich(number: int) -> DemoVersion:
    return DemoVersion(
        build=lambda _: ich.build(number),
        example=lambda: ich.example_input(number),
        card=lambda: ich.CARDS[number],
        metrics=lambda: ich.METRICS[number],
        datasets=lambda: _ich_datasets(number),
        reference=lambda: reference_of(ich.NAME),
    )


def _ich_datasets(number: int) -> tuple[DatasetRef, ...]:
    source = "procedural head CT phantoms (models/zoo/ich/phantom.py)"
    real = f"{source}, and one real head CT with simulated bleeds (Debian: invesalius-examples)"
    return (
        DatasetRef("training", training_digest(number), source, "training"),
        DatasetRef("evaluation", evaluation_digest(), real, "testing"),
    )


def _measured_on(model: str) -> tuple[DatasetRef, ...]:
    """The images of the figures. On what exactly a published network was trained its package does not say."""
    return tuple(
        DatasetRef(sample, digest_of(sample)[:MOST_DIGEST_CHARS], origin_of(sample), "testing")
        for sample in figures_of(model)
    )


DEMO_MODELS: tuple[DemoModel, ...] = (
    DemoModel(
        ich.NAME,
        tuple(_ich(number) for number in sorted(set(ich.CARDS) - set(ON_DEMAND))),
        on_demand=tuple(_ich(number) for number in ON_DEMAND),
    ),
    DemoModel(
        brain_volume.NAME,
        (
            DemoVersion(
                lambda settings: brain_volume.build(settings.paths.weights),
                brain_volume.example_input,
                lambda: card_of(brain_volume.NAME),
                lambda: figures_of(brain_volume.NAME),
                lambda: _measured_on(brain_volume.NAME),
                reference=lambda: reference_of(brain_volume.NAME),
            ),
        ),
    ),
    DemoModel(
        chest_film_qa.NAME,
        (
            DemoVersion(
                lambda settings: chest_film_qa.build(settings.paths.weights),
                chest_film_qa.example_input,
                lambda: card_of(chest_film_qa.NAME),
                lambda: figures_of(chest_film_qa.NAME),
                lambda: _measured_on(chest_film_qa.NAME),
                reference=lambda: reference_of(chest_film_qa.NAME),
            ),
        ),
    ),
)


OPT_IN_MODELS: tuple[DemoModel, ...] = (
    DemoModel(
        ct_features.NAME,
        (
            DemoVersion(
                lambda settings: ct_features.build(settings.paths.weights),
                ct_features.example_input,
                lambda: card_of(ct_features.NAME),
                lambda: figures_of(ct_features.NAME),
                lambda: _measured_on(ct_features.NAME),
            ),
        ),
    ),
)


def card_of(model: str) -> str:
    """The card of a model whose weights others published."""
    return (resources.files("models.zoo.cards") / f"{model}.md").read_text()


def register_missing(settings: Settings, name: str, present: int, progress: Progress) -> None:
    """Register the versions of a demo model of which the first `present` are there already."""
    (model,) = (model for model in DEMO_MODELS if model.name == name)
    missing = model.versions[present:]
    if missing:
        fetch_published_weights(settings, model, progress)
    for number, version in enumerate(missing, start=present + 1):
        progress(f"registering {name} version {number}")
        register_version(settings, version)


def register_version(settings: Settings, version: DemoVersion) -> ModelVersion:
    module, spec = version.build(settings)
    package = Package(
        module=module,
        spec=spec,
        example_input=version.example(),
        card=version.card(),
        metrics=version.metrics(),
        datasets=version.datasets(),
        reference=version.reference(),
        regulatory=RegulatoryTags(status="research"),
    )
    return register_model(
        package,
        tracking_uri=settings.registry_url,
        signing_key=load_signing_key(settings.paths.signing_key),
    )


BROKEN_BUILD: Final = "serinus.demo.broken_build"  # the tag by which it is found again


def broken_build(settings: Settings, progress: Progress) -> str:
    """The number of the broken build in the registry, which gets one if it has none yet."""
    registry = RegistryClient(settings.registry_url)
    known = [one.version for one in registry.versions(ich.NAME) if BROKEN_BUILD in one.tags]
    if known:
        return known[0]
    progress(f"registering a broken build of {ich.NAME}")
    version = register_broken_build(settings).version
    registry.set_tag(ich.NAME, version, BROKEN_BUILD, "true")
    return version


def register_broken_build(settings: Settings) -> ModelVersion:
    """Register the `ich-triage` that fails on a tenth of its studies, as the next version of the registry. It is for
    trying a rollout with, so no registry has it before somebody asks.
    """
    (model,) = (model for model in DEMO_MODELS if model.name == ich.NAME)
    (broken,) = model.on_demand
    return register_version(settings, broken)


def fetch_published_weights(settings: Settings, model: DemoModel, progress: Progress) -> None:
    """Have the weights that others published and this model needs; our own lie beside the code."""
    if model.name == ct_features.NAME:
        progress("weights of the chest CT encoder (Astra, 190 MB)")
        convert_astra(settings.paths.downloads, settings.paths.weights)
    elif model.name != ich.NAME:
        fetch_weights(settings.paths.downloads, settings.paths.weights, progress)
