"""What a version's replicas need, from its tags `serinus.resources.*`; the site's defaults for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from serve_apps.messages import Resources

PREFIX = "serinus.resources."


def resources_of(tags: Mapping[str, str]) -> Resources:
    """A tag that is no number is as if it were not there: a typing error must not stop a version."""
    default = Resources()
    return Resources(
        num_cpus=_number(tags, "num_cpus", default.num_cpus),
        num_gpus=_number(tags, "num_gpus", default.num_gpus),
        memory_bytes=int(_number(tags, "memory_bytes", 0)) or None,
        min_replicas=int(_number(tags, "min_replicas", default.min_replicas)),
        max_replicas=int(_number(tags, "max_replicas", default.max_replicas)),
    )


def _number(tags: Mapping[str, str], name: str, default: float) -> float:
    try:
        return max(0.0, float(tags[PREFIX + name]))
    except (KeyError, ValueError):
        return default
