"""Every bad study that we know of, one line each: how it is made, and what is expected of it.

Used by tests/unit/imaging/test_bad_studies.py and by `python -m benchmarks.bad_input`, which writes docs/bad-input.md.
"""

from __future__ import annotations

from tests.bad_studies import frames, headers, objects, pixels
from tests.bad_studies.case import Case
from tests.bad_studies.pixels import LIMITS

GROUPS: dict[str, tuple[Case, ...]] = {
    "Headers": headers.CASES,
    "Pixels": pixels.CASES,
    "Frames of an enhanced CT": frames.CASES,
    "Objects that are no DICOM": objects.CASES,
}
CASES: tuple[Case, ...] = tuple(case for cases in GROUPS.values() for case in cases)

__all__ = ["CASES", "GROUPS", "LIMITS", "Case"]
