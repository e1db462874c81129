"""Which series of a study a model can read, with a reason for each series refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from core.errors import UnsupportedSeries


class Plane(StrEnum):
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """What a series must be. An empty `body_parts` accepts any; a blank BodyPartExamined always passes.

    Images are in shades of grey, or, with `colour`, in colour.
    """

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()
    plane: Plane = Plane.ANY
    min_slices: int = 1
    max_slices: int = 2000
    min_thickness_mm: float | None = None
    max_thickness_mm: float | None = None
    max_gap_ratio: float = 0.02  # allowed deviation of slice distances from their median
    colour: bool = False


@dataclass(frozen=True, slots=True)
class SeriesHeader:
    """What choosing needs to know of a series. `thickness_mm` and `plane` are None when headers do not say.

    `slices` counts images without localizers. `obstacle` is why no model at all can read it, if so.
    """

    series_uid: str
    modality: str
    body_part: str = ""
    plane: Plane | None = None
    slices: int = 0
    thickness_mm: float | None = None
    obstacle: str | None = None
    colour: bool = False


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """The series to read, and for each other series why not. Reasons hold no patient datum."""

    selected: SeriesHeader | None
    refused: Mapping[str, str]

    def require(self) -> SeriesHeader:
        """The selected series. Raises UnsupportedSeries, its detail counting the reasons."""
        if self.selected is not None:
            return self.selected
        counts = Counter(self.refused.values())
        reasons = "; ".join(f"{count} x {reason}" for reason, count in sorted(counts.items()))
        raise UnsupportedSeries(f"no series can be read: {reasons or 'the study has none'}")


def choose_series(headers: Sequence[SeriesHeader], rule: SeriesRule) -> SeriesChoice:
    """Among the series the rule accepts: most slices, then thinnest, then the lowest UID, whatever the order.

    >>> rule = SeriesRule(modalities=("CT",), min_slices=20)
    >>> choose_series([SeriesHeader("1.2", "CT", slices=5)], rule).refused
    {'1.2': '5 slices, at least 20 needed'}
    """
    reasons = {header.series_uid: refusal(header, rule) for header in headers}
    eligible = sorted((h for h in headers if reasons[h.series_uid] is None), key=_preference)
    refused = {uid: reason for uid, reason in sorted(reasons.items()) if reason is not None}
    refused |= {other.series_uid: _second_best(other, eligible[0]) for other in eligible[1:]}
    return SeriesChoice(eligible[0] if eligible else None, refused)


def _preference(header: SeriesHeader) -> tuple[int, float, str]:
    return -header.slices, inf if header.thickness_mm is None else header.thickness_mm, header.series_uid


def _second_best(other: SeriesHeader, chosen: SeriesHeader) -> str:
    if other.slices < chosen.slices:
        return f"{other.slices} slices, where another series has {chosen.slices}"
    if _preference(other)[1] > _preference(chosen)[1]:
        return "thicker than another series"
    return "equal to another series, which comes first by UID"


def refusal(header: SeriesHeader, rule: SeriesRule) -> str | None:
    """The first reason why the rule refuses a series; None when it accepts."""
    return next((reason for check in _CHECKS if (reason := check(header, rule))), None)


def _refuse_obstacle(header: SeriesHeader, rule: SeriesRule) -> str | None:
    return header.obstacle


def _refuse_modality(header: SeriesHeader, rule: SeriesRule) -> str | None:
    if header.modality in rule.modalities:
        return None
    return f"modality is {_code(header.modality)}, not {' or '.join(rule.modalities)}"


def _refuse_colour(header: SeriesHeader, rule: SeriesRule) -> str | None:
    if header.colour == rule.colour:
        return None
    return "it is in colour" if header.colour else "it is not in colour"


def _refuse_body_part(header: SeriesHeader, rule: SeriesRule) -> str | None:
    part = header.body_part.strip().upper()
    if not part or not rule.body_parts or part in {wanted.upper() for wanted in rule.body_parts}:
        return None
    return f"body part is {_code(part)}, not {' or '.join(rule.body_parts)}"


def _refuse_plane(header: SeriesHeader, rule: SeriesRule) -> str | None:
    if rule.plane is Plane.ANY or header.plane is rule.plane:
        return None
    return f"plane is {header.plane or 'oblique or unknown'}, not {rule.plane}"


def _refuse_count(header: SeriesHeader, rule: SeriesRule) -> str | None:
    if header.slices < rule.min_slices:
        return f"{header.slices} slices, at least {rule.min_slices} needed"
    if header.slices > rule.max_slices:
        return f"{header.slices} slices, at most {rule.max_slices} readable"
    return None


def _refuse_thickness(header: SeriesHeader, rule: SeriesRule) -> str | None:
    lowest, highest, thickness_mm = rule.min_thickness_mm, rule.max_thickness_mm, header.thickness_mm
    if lowest is None and highest is None:
        return None
    if thickness_mm is None:
        return "slice thickness is unknown"
    if lowest is not None and thickness_mm < lowest:
        return f"slices of {thickness_mm:.2f} mm, at least {lowest:.2f} mm needed"
    if highest is not None and thickness_mm > highest:
        return f"slices of {thickness_mm:.2f} mm, at most {highest:.2f} mm readable"
    return None


_CHECKS = (
    _refuse_obstacle,
    _refuse_modality,
    _refuse_colour,
    _refuse_body_part,
    _refuse_plane,
    _refuse_count,
    _refuse_thickness,
)


def _code(value: str) -> str:
    """A code string (VR CS) may be repeated; what is none may be free text with a name in it."""
    return value if re.fullmatch(r"[A-Z0-9_]{1,16}", value) else "unknown"
