"""Resources: the version's tags, else the site's defaults; no replica only for one that nobody waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ray.serve._private.config import ReplicaConfig
from ray.serve.config import AutoscalingConfig

from canary.replicas import Capacity, bounds_of, most_replicas
from core.weekly_hours import hours_of
from serve_apps.control.admission import resources_of
from serve_apps.control.apply import deployment_options
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
        options = deployment_options(sizing.resources, has_gpu=True, replicas=1)
        ReplicaConfig.create(object, ray_actor_options=options["ray_actor_options"])


@given(least=counts, most=st.none() | counts, schedule=counts, may_sleep=st.booleans())
def test_serve_takes_every_number_and_nobody_who_answers_is_without_a_replica(
    least: int, most: int | None, schedule: int, may_sleep: bool
) -> None:
    resources = Resources(min_replicas=least, max_replicas=most, schedule=f"mon-sun 00:00-24:00 {schedule}")
    (hours,) = hours_of(resources.schedule)
    bounds = bounds_of(resources.min_replicas, most_replicas(most, Capacity(4)), hours, may_sleep=may_sleep)
    assert bounds.least >= (0 if may_sleep else 1)
    for replicas in range(bounds.least, bounds.most + 1):
        options = deployment_options(resources, has_gpu=False, replicas=replicas)
        if replicas == 0:
            assert AutoscalingConfig(**options["autoscaling_config"]).min_replicas == 0
        else:
            assert options["num_replicas"] == replicas


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("weekdays 07:00-19:00 3", "has no day of the week in 'weekdays'"),
        ("mon-fri 07:00-19:00", "is no hours such as 'mon-fri 07:00-19:00 3'"),
        ("mon 07:00-07:00 3", "begins when it ends"),
        ("mon 07:00-25:00 3", "has no time of day in '25:00'"),
        ("mon 07:00-19:00 100000", "names more than 1000"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_named_with_what_is_wrong(text: str, fault: str) -> None:
    sizing = resources_of({"serinus.resources.schedule": f"sat 08:00-12:00 1; {text}"}, SITE)
    assert sizing.resources is SITE
    assert sizing.fault is not None
    assert sizing.fault.startswith("the tag serinus.resources.schedule cannot be followed: ")
    assert repr(text) in sizing.fault
    assert fault in sizing.fault
    with pytest.raises(ValidationError, match=fault.split("'")[0]):
        Settings(default_resources={"schedule": text})


def test_a_tag_may_leave_the_most_replicas_to_the_cluster() -> None:
    site = Resources(max_replicas=2)
    tags = {"serinus.resources.max_replicas": "auto", "serinus.resources.schedule": "mon-fri 07:00-19:00 3"}
    assert resources_of(tags, site).resources == Resources(
        max_replicas=None, schedule="mon-fri 07:00-19:00 3"
    )
    assert resources_of({}, site).resources.max_replicas == 2


def test_a_site_names_hours_by_model() -> None:
    settings = Settings(
        default_resources={"min_replicas": 2, "schedule": "sat 08:00-12:00 3"},
        schedules={"ich-triage": "mon-fri 07:00-19:00 4"},
    )
    assert settings.resources_of("ich-triage") == Resources(min_replicas=2, schedule="mon-fri 07:00-19:00 4")
    assert settings.resources_of("chest") == Resources(min_replicas=2, schedule="sat 08:00-12:00 3")
    with pytest.raises(ValidationError, match="the schedule of chest: 'always' is no hours"):
        Settings(schedules={"chest": "always"})


def test_a_time_zone_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="no time zone is called 'Europe/Atlantis'"):
        Settings(time_zone="Europe/Atlantis")
    assert Settings(time_zone="Europe/Berlin").zone.key == "Europe/Berlin"


def test_a_gpu_share_is_asked_for_only_where_there_is_a_gpu() -> None:
    shares = [
        deployment_options(Resources(num_gpus=0.25), has_gpu=gpu, replicas=1)["ray_actor_options"]["num_gpus"]
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
        deployment_options(Resources(memory_bytes=asked), has_gpu=False, replicas=1)["ray_actor_options"].get(
            "memory"
        )
        for asked in (None, 0, 1 << 30)
    ]
    assert reserved == [None, None, 1 << 30]


def test_a_site_sets_its_defaults_in_one_setting() -> None:
    settings = Settings(default_resources={"num_cpus": 2, "min_replicas": 0})
    assert settings.default_resources == Resources(num_cpus=2, min_replicas=0)
