"""Fewer points that are drawn like all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from canary.evidence.trajectory import Point, Series


def thin(points: Sequence[Point], most: int, limits: Iterable[float] = ()) -> Series:
    """At most `most` of the points, in their order: the first and the last one, where each limit is first reached,
    and the lowest and the highest of every stretch, so that no peak is lost.

    Raises ValueError where `most` leaves no room for these.
    """
    crossings = {_first_at(points, limit) for limit in limits} - {None}
    room = (most - len(crossings) - 2) // 2
    if room < 1:
        raise ValueError(f"{most} points are too few to keep the ends, the crossings and the extremes")
    if len(points) <= most:
        return tuple(points)
    kept = {0, len(points) - 1, *crossings}
    for part in range(room):
        stretch = range(part * len(points) // room, (part + 1) * len(points) // room)
        kept.add(min(stretch, key=lambda index: points[index].log10_e))
        kept.add(max(stretch, key=lambda index: points[index].log10_e))
    return tuple(points[index] for index in sorted(index for index in kept if index is not None))


def _first_at(points: Sequence[Point], limit: float) -> int | None:
    return next((index for index, point in enumerate(points) if point.log10_e >= limit), None)
