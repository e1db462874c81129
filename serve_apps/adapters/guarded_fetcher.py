"""The reading of studies in a process that may die of them: before any other one, and before the machine is short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imaging.volume import Volume
from serve_apps.adapters.archives import Archives, fetch_limits
from serve_apps.adapters.cpu_priority import lower_priority
from serve_apps.adapters.memory_guard import (
    FIRST_OF_ALL,
    guard_memory,
    offer_to_the_oom_killer,
    third_of_the_machine,
)
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.settings import Settings


def guarded_fetcher(settings: Settings, store: Callable[[Volume], Any], reads: int) -> StudyFetcher:
    """Make this process a reader, and what reads in it.

    A study whose headers declare more than the process may hold is refused; one that takes more than it declares ends
    the process.
    """
    memory_bytes = settings.reader_memory_bytes or third_of_the_machine()
    guard_memory(memory_bytes)
    offer_to_the_oom_killer(FIRST_OF_ALL)
    lower_priority()
    limits = fetch_limits(settings).within(memory_bytes)
    return StudyFetcher(Archives(settings, limits), store, reads, limits.pixels)
