"""What a version's replicas need, from its tags `serinus.resources.*`; the site's defaults for the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from serve_apps.resources import Resources

PREFIX = "serinus.resources."
COUNTS = ("memory_bytes", "min_replicas", "max_replicas")


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas there may be. `min_replicas` is 0 only for one that nobody waits for."""

    min_replicas: int
    max_replicas: int

    @property
    def is_fixed(self) -> bool:
        return self.min_replicas == self.max_replicas


def resources_of(tags: Mapping[str, str], default: Resources) -> Resources:
    """A tag that is no number is as if it were not there: a typing error must not stop a version."""
    said = {field.name: _number(tags.get(PREFIX + field.name)) for field in fields(Resources)}
    wished: dict[str, Any] = {
        name: int(number) if name in COUNTS else number for name, number in said.items() if number is not None
    }
    return replace(default, **wished)


def scaling_of(resources: Resources, *, may_sleep: bool) -> Scaling:
    """A version that may answer a caller keeps a replica; one that only reads in silence may have none."""
    least = max(resources.min_replicas, 0 if may_sleep else 1)
    return Scaling(least, max(resources.max_replicas, least, 1))


def deployment_options(resources: Resources, *, has_gpu: bool, may_sleep: bool) -> dict[str, Any]:
    """The version's options for Serve. Its state is a reservation; the replica itself keeps the limit."""
    actor: dict[str, Any] = {
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus if has_gpu else 0,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
    }
    if resources.memory_bytes:
        actor["state"] = resources.memory_bytes
    scaling = scaling_of(resources, may_sleep=may_sleep)
    if scaling.is_fixed:
        return {"ray_actor_options": actor, "num_replicas": scaling.min_replicas}
    autoscaling = {
        "min_replicas": scaling.min_replicas,
        "max_replicas": scaling.max_replicas,
        "target_ongoing_requests": 2,
        "downscale_delay_s": resources.downscale_delay_s,
    }
    return {"ray_actor_options": actor, "autoscaling_config": autoscaling}


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None
