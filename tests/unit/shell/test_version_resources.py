"""Resources: the version's tags, else the site's defaults; no replica only for one that nobody waits for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ray.serve.config import AutoscalingConfig

from serve_apps.control.version_resources import deployment_options, resources_of, scaling_of
from serve_apps.resources import Resources
from serve_apps.settings import Settings

counts = st.integers(0, 8)
SITE = Resources(num_cpus=0.5, memory_bytes=1 << 30)


def test_a_tag_goes_before_the_sites_default() -> None:
    found = resources_of({"serinus.resources.num_cpus": "2"}, SITE)
    assert (found.num_cpus, found.memory_bytes) == (2.0, 1 << 30)


@given(st.sampled_from(["half", "", "-1", "nan", "inf", "1e999"]))
def test_a_typing_error_is_as_if_it_were_not_there(text: str) -> None:
    tags = {f"serinus.resources.{name}": text for name in ("num_cpus", "num_gpus", "min_replicas")}
    assert resources_of(tags, SITE) == SITE


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


def test_a_site_sets_its_defaults_in_one_setting() -> None:
    settings = Settings(default_resources={"num_cpus": 2, "min_replicas": 0})
    assert settings.default_resources == Resources(num_cpus=2, min_replicas=0)
