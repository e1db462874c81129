"""Which replicas are there for the work alone, so that what they cost is marginal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from observability.cost.observed import LivingReplica, Observed

_REPLICA: Final = re.compile(r".*SERVE_REPLICA::(?P<app>[^#]+)#[^#]+#[^#]+")


def with_elastic(
    living: Mapping[str, LivingReplica], last: Observed, least: Callable[[str], int]
) -> dict[str, LivingReplica]:
    """Mark the replicas that are there for the work alone: of each application those above its least number.

    Serve says of none which it is. Those that were not at the `last` look come first, so that few change sides;
    `least` is by the name of an application.
    """
    before = frozenset(name for name, one in last.replicas.items() if not one.replica.is_elastic)
    by_app: dict[str, list[str]] = {}
    for name in sorted(living, key=lambda one: (one not in before, one)):
        by_app.setdefault(app_of(name), []).append(name)
    elastic = {name for app, names in by_app.items() for name in names[least(app) :]}
    return {name: replace(one, is_elastic=name in elastic) for name, one in living.items()}


def app_of(name: str) -> str:
    """The application of a replica by its name; empty for any other actor."""
    replica = _REPLICA.fullmatch(name)
    return replica["app"] if replica else ""
