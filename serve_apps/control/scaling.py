"""How many replicas each application is to have: the rule of `canary.replicas`, for all versions of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from canary.replicas import (
    Asked,
    Bounds,
    Demand,
    DueStudies,
    Wanted,
    bounds_of,
    demand,
    most_replicas,
    scale,
)
from canary.routing_table import BASIS_POINTS, RoutingTable
from canary.target import ModelTarget, Target
from core.weekly_hours import hours_at, hours_of
from serve_apps.application.messages import ServedVersion
from serve_apps.control.queue_watch import QueueSight
from serve_apps.control.state import DeployedApp
from serve_apps.resources import Resources

UNMEASURED_S: Final = 5.0  # a study of a model that has read none yet


class Replicas:
    """Remembers what was asked for, so that replicas go no sooner than `downscale_delay_s` after they were needed.

    What runs when a controller begins counts as asked for then: its restart takes no replica away.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._past: dict[str, tuple[Asked, ...]] = {}
        self.wanted: Mapping[str, Wanted] = {}

    def of(
        self,
        target: Target,
        endpoints: Mapping[str, ServedVersion],
        deployed: Mapping[str, DeployedApp],
        sight: QueueSight | None,
        *,
        at: datetime,
    ) -> Mapping[str, Wanted]:
        """By application, for each that is to run and can be called."""
        past: dict[str, tuple[Asked, ...]] = {}
        wanted: dict[str, Wanted] = {}
        for model in target.models:
            asked = demands(model, sight)
            for view in model.run:
                version = endpoints.get(view.app)
                if version is None:
                    continue
                running = deployed.get(view.app, DeployedApp("")).replicas
                before = self._past.get(view.app, (Asked(at.timestamp(), running),))
                bounds = self._bounds(version.resources, sight, running, at, view.version in model.may_sleep)
                keep_s = version.resources.downscale_delay_s
                of_version = asked.get(view.version, Demand(0))
                wanted[view.app], past[view.app] = scale(of_version, bounds, before, keep_s, at.timestamp())
        self._past, self.wanted = past, wanted
        return wanted

    def _bounds(
        self, resources: Resources, sight: QueueSight | None, running: int, at: datetime, may_sleep: bool
    ) -> Bounds:
        """Before the first look at the cluster no version is to have fewer than it has."""
        hours = hours_at(hours_of(resources.schedule), at, self._zone)
        most = max(running, 1) if sight is None else _most(resources, sight)
        return bounds_of(resources.min_replicas, most, hours, may_sleep=may_sleep)


def demands(model: ModelTarget, sight: QueueSight | None) -> dict[str, Demand]:
    """What each version that may answer callers is asked for by what waits for its model.

    Shadows ask for nothing: the shadow worker has one read at a time, which more replicas make no faster.
    """
    if sight is None or model.table is None:
        return {}
    waiting = waiting_for(model.model, sight)
    champion = (model.model, model.table.champion.version)
    usual_s = sight.study_s.get(champion, UNMEASURED_S)
    return {
        version: demand(waiting, sight.study_s.get((model.model, version), usual_s), share, sight.at)
        for version, share in live_shares(model.table).items()
    }


def waiting_for(model: str, sight: QueueSight) -> Sequence[DueStudies]:
    """The studies that named the model, and its usual share of those that named none; all of these before it has
    read any.
    """
    share = sight.model_shares.get(model, 0.0) if sight.model_shares else 1.0
    named = [one for one in sight.waiting if one.model == model]
    unnamed = [replace(one, studies=one.studies * share) for one in sight.waiting if not one.model and share]
    return [*named, *unnamed]


def live_shares(table: RoutingTable) -> dict[str, float]:
    """Which share of the model's studies each version reads for their callers."""
    shares: dict[str, float] = {}
    if not table.frozen:
        if table.canary is not None:
            shares[table.canary.variant.version] = table.canary.share_bp / BASIS_POINTS
        if table.ab_test is not None:
            within = table.ab_test.slot.share_bp / BASIS_POINTS if table.ab_test.slot else 1.0
            for arm in table.ab_test.arms:
                weight = table.ab_test.weight_of(arm.variant.name) / BASIS_POINTS * within
                shares[arm.variant.version] = shares.get(arm.variant.version, 0.0) + weight
    champion = table.champion.version
    shares[champion] = shares.get(champion, 0.0) + max(0.0, 1.0 - sum(shares.values()))
    return shares


def _most(resources: Resources, sight: QueueSight) -> int:
    return most_replicas(
        resources.max_replicas,
        sight.capacity,
        cpus=resources.num_cpus,
        gpus=resources.num_gpus,
        memory_bytes=resources.memory_bytes or 0,
    )
