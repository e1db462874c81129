"""What is left to do so that the world is as a status says: small actions, in the safe order.

    promotion   the status · weight 100 % · champion-previous · champion, if it still names the stable one · drain
    rollback    weight 0 · the status · champion
    else        what lowers the exposure · the status · what raises it

Whoever acts does them in order and stops at the first that fails. The next look asks again for what is not so: a
crash in between, or doing one twice, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from canary.rollout.seen import World
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.routing_table import BASIS_POINTS, CHAMPION, Slot
from canary.verdict import Verdict

PREVIOUS = "champion-previous"


@dataclass(frozen=True, slots=True)
class Record:
    """Write the status, its events and its approval. What follows may only be done once this is durable."""


@dataclass(frozen=True, slots=True)
class GrantWeight:
    """The version answers this share of the patients as canary."""

    version: str
    weight_bp: int


@dataclass(frozen=True, slots=True)
class GrantSlot:
    """The model's rollouts keep to this slot of a layer."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class GrantMirror:
    """The version reads this share of the studies as a shadow."""

    version: str
    share_bp: int


@dataclass(frozen=True, slots=True)
class PointAlias:
    """Let the alias name the version, if it names `expected` until then (compare and swap)."""

    alias: str
    expected: str | None
    version: str


@dataclass(frozen=True, slots=True)
class AwaitDrain:
    """Wait until no study is in the hands of this version as champion any more."""

    version: str


Action = Record | GrantWeight | GrantSlot | GrantMirror | PointAlias | AwaitDrain


def actions_of(
    status: RolloutStatus, world: World, slot: Slot | None = None, *, is_new: bool
) -> tuple[Action, ...]:
    """The actions that are left. `slot` is the plan's, `is_new`: the status differs from the one that is written."""
    record = (Record(),) if is_new else ()
    if status.phase is RolloutPhase.PROMOTING:
        return (*record, *_promotion(status, world))
    if status.phase is RolloutPhase.ROLLING_BACK:
        return (*_lowered(status, world), *record, *_back(status, world))
    return (
        *_lowered(status, world),
        *record,
        *_kept_to(slot, status, world),
        *_raised(status, world),
        *_mirrored(status, world),
    )


def _promotion(status: RolloutStatus, world: World) -> Iterator[Action]:
    """Each waits until the one before it is seen to hold: what is not seen may not have happened."""
    if not world.registry_answers or world.is_frozen:
        return
    if world.champion == status.candidate:
        if not is_settled(status, world):
            yield AwaitDrain(status.stable)
    elif world.weight_bp != BASIS_POINTS:
        yield from _lowered(status, world)
        yield from _raised(status, world)
    elif world.champion == status.stable and world.data_plane is not Verdict.FAILED:
        if world.previous != status.stable:
            yield PointAlias(PREVIOUS, world.previous, status.stable)
        yield PointAlias(CHAMPION, status.stable, status.candidate)


def is_settled(status: RolloutStatus, world: World) -> bool:
    """Whether the candidate answers as champion and the former one has ended its studies."""
    return world.champion == status.candidate == world.answering and world.is_drained


def _back(status: RolloutStatus, world: World) -> Iterator[Action]:
    if status.promotion_began and world.registry_answers and world.champion in (None, status.candidate):
        yield PointAlias(CHAMPION, world.champion, status.back_to)


def is_back(status: RolloutStatus, world: World) -> bool:
    """Whether the candidate answers nobody any more, seen from the registry and the routers."""
    if world.weight_bp != 0:
        return False
    if not status.promotion_began:
        return True
    is_moved = world.registry_answers and world.champion not in (None, status.candidate)
    return is_moved and world.answering != status.candidate


def _lowered(status: RolloutStatus, world: World) -> Iterator[Action]:
    if status.weight_bp < world.weight_bp:
        yield GrantWeight(status.candidate, status.weight_bp)


def _kept_to(slot: Slot | None, status: RolloutStatus, world: World) -> Iterator[Action]:
    """Before the first patient: a slot does not change under a weight."""
    is_first = status.weight_bp > 0 and world.weight_bp == 0
    if is_first and slot is not None and world.slot != slot:
        yield GrantSlot(slot)


def _raised(status: RolloutStatus, world: World) -> Iterator[Action]:
    if status.weight_bp > world.weight_bp:
        yield GrantWeight(status.candidate, status.weight_bp)


def _mirrored(status: RolloutStatus, world: World) -> Iterator[Action]:
    follows = status.phase in (RolloutPhase.PROGRESSING, RolloutPhase.PAUSED) and not status.is_promoted
    if follows and status.mirror_bp != world.mirror_bp:
        yield GrantMirror(status.candidate, status.mirror_bp)
