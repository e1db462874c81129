"""How long a version itself works at a study, wherever it reads it: preparing, its network, interpreting.

Each part is timed within the thread that does it, by a clock that only goes forward. So a wait for a place, a thread
or a batch is no part of it, nor is the input check, which is done beside the preparing for a caller and after it
for a shadow. Of a forward that studies share nobody can say which of them took how long: there it is not known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and how many milliseconds it took."""
    begun = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - begun) * 1e3


def work_ms(prepare_ms: float, forward_ms: float, interpret_ms: float, *, studies: int) -> float | None:
    """The work at one study; None where its forward was one of several `studies`."""
    return prepare_ms + forward_ms + interpret_ms if studies == 1 else None
