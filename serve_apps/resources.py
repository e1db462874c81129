"""What one replica of a model version needs of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from core.weekly_hours import hours_of


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica of a version needs, and how many there may be.

    `max_replicas` None: as many as make reading faster on this cluster (`canary.replicas.most_replicas`). `schedule`
    are hours of the week in which there are more replicas than `min_replicas`, as `mon-fri 07:00-19:00 3`.
    With `min_replicas` 0 a version that only reads as a shadow goes to sleep after `downscale_delay_s` without
    a study. A replica that holds more than `memory_bytes` of its own is replaced; None: a third of its machine,
    of which nothing is reserved; 0: no limit. A live study that its forward has not answered within
    `study_timeout_s` is the version's failure, and its replica is replaced; 0: no limit of the version's own.
    """

    num_cpus: float = 0.1
    num_gpus: float = 0.25
    memory_bytes: int | None = None
    min_replicas: int = 1
    max_replicas: int | None = None
    downscale_delay_s: float = 300.0
    study_timeout_s: float = 120.0
    schedule: str = ""

    def __post_init__(self) -> None:
        hours_of(self.schedule)


def limits_in_words(resources: Resources) -> str:
    """What bounds a replica, for a person."""
    memory = resources.memory_bytes
    held = (
        "a third of memory" if memory is None else f"{memory / (1 << 30):.3g} GiB" if memory else "any memory"
    )
    time = f"{resources.study_timeout_s:g} s" if resources.study_timeout_s else "any time"
    return f"{time}, {held}"
