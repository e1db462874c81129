"""What one replica of a model version needs of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica of a version needs, and how many there may be.

    With `min_replicas` 0 a version that only reads as a shadow goes to sleep after `downscale_delay_s` without
    a study. A replica that holds more than `memory_bytes` of its own is replaced; 0: no limit.
    """

    num_cpus: float = 0.1
    num_gpus: float = 0.25
    memory_bytes: int = 0
    min_replicas: int = 1
    max_replicas: int = 1
    downscale_delay_s: float = 300.0
