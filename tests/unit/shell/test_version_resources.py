"""Resources: the version's tags, else the site's defaults; no replica only for one that nobody waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve._private.config import ReplicaConfig
from ray.serve.config import AutoscalingConfig

from serve_apps.control.admission import resources_of
from serve_apps.control.apply import deployment_options, scaling_of
from serve_apps.resources import Resources, limits_in_words
from serve_apps.settings import Settings

counts = st.integers(0, 8)
SITE = Resources(num_cpus=0.5, memory_bytes=1 << 30)


def test_a_tag_goes_before_the_sites_default() -> None:
    sizing = resources_of({"serinus.resources.num_cpus": "2"}, SITE)
    assert (sizing.resources.num_cpus, sizing.resources.memory_bytes, sizing.fault) == (2.0, 1 << 30, None)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("num_cpus", "half", "is no number"),
        ("num_cpus", "", "is no number"),
        ("num_cpus", "0.00001", "is less than 0.0001, the smallest share there is"),
        ("num_gpus", "-1", "is no number from 0 on"),
        ("num_gpus", "nan", "is no number from 0 on"),
        ("memory_bytes", "1e999", "is no number from 0 on"),
        ("min_replicas", "1.5", "is no whole number"),
        ("study_timeout_s", "soon", "is no number"),
        ("max_replicas", "100000", "is more than 1000"),
    ],
)
def test_a_tag_that_cannot_be_followed_says_what_is_wrong(name: str, text: str, fault: str) -> None:
    sizing = resources_of({f"serinus.resources.{name}": text}, SITE)
    assert sizing.fault == f"the tag serinus.resources.{name} {fault}"


@given(cpus=st.floats(0, 8), gpus=st.floats(0, 1), memory=st.integers(0, 1 << 40))
def test_ray_takes_whatever_has_no_fault(cpus: float, gpus: float, memory: int) -> None:
    tags = {"num_cpus": str(cpus), "num_gpus": str(gpus), "memory_bytes": str(memory)}
    sizing = resources_of({f"serinus.resources.{name}": text for name, text in tags.items()}, SITE)
    if sizing.fault is None:
        options = deployment_options(sizing.resources, has_gpu=True, may_sleep=False)
        ReplicaConfig.create(object, ray_actor_options=options["ray_actor_options"])


@given(least=counts, most=counts, may_sleep=st.booleans())
def test_serve_takes_every_scaling_and_nobody_who_answers_is_without_a_replica(
    least: int, most: int, may_sleep: bool
) -> None:
    resources = Resources(min_replicas=least, max_replicas=most)
    scaling = scaling_of(resources, may_sleep=may_sleep)
    assert scaling.min_replicas >= (0 if may_sleep else 1)
    options = deployment_options(resources, has_gpu=False, may_sleep=may_sleep)
    if "autoscaling_config" in options:
        assert AutoscalingConfig(**options["autoscaling_config"]).max_replicas >= 1
    else:
        assert options["num_replicas"] == scaling.max_replicas >= 1


def test_a_gpu_share_is_asked_for_only_where_there_is_a_gpu() -> None:
    shares = [
        deployment_options(Resources(num_gpus=0.25), has_gpu=gpu, may_sleep=False)["ray_actor_options"][
            "num_gpus"
        ]
        for gpu in (True, False)
    ]
    assert shares == [0.25, 0]


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(), "120 s, a third of memory"),
        (Resources(memory_bytes=3 << 29, study_timeout_s=7.5), "7.5 s, 1.5 GiB"),
        (Resources(memory_bytes=0, study_timeout_s=0), "any time, any memory"),
    ],
)
def test_a_version_is_bounded_unless_its_tags_say_otherwise(resources: Resources, words: str) -> None:
    assert limits_in_words(resources) == words


def test_only_memory_that_a_tag_asks_for_is_reserved() -> None:
    reserved = [
        deployment_options(Resources(memory_bytes=asked), has_gpu=False, may_sleep=False)[
            "ray_actor_options"
        ].get("memory")
        for asked in (None, 0, 1 << 30)
    ]
    assert reserved == [None, None, 1 << 30]


def test_a_site_sets_its_defaults_in_one_setting() -> None:
    settings = Settings(default_resources={"num_cpus": 2, "min_replicas": 0})
    assert settings.default_resources == Resources(num_cpus=2, min_replicas=0)
