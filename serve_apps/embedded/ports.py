"""Ports: is one free, and which may be used for what nobody addresses by number."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_FROM: Final = 32_768
LOWEST: Final = 20_000


class PortInUse(RuntimeError):
    """A port that the stack needs is taken by somebody else."""


def require_free(ports: Mapping[str, int], host: str = "127.0.0.1") -> None:
    """Raise PortInUse that names each taken port and the setting which moves it (`SERINUS_…`)."""
    taken = {setting: port for setting, port in ports.items() if not is_free(port, host)}
    if taken:
        told = "; ".join(f"port {port} is in use, move it with {setting}" for setting, port in taken.items())
        raise PortInUse(f"{told}. Is another stack running? `serinus down` ends the one of this folder.")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """`count` distinct ports that are free now, and that no outgoing connection is given later.

    The kernel hands out ports of its ephemeral range at any moment; a server that starts seconds from now would
    find its port taken.
    """
    low = EPHEMERAL_FROM if not EPHEMERAL.exists() else int(EPHEMERAL.read_text().split()[0])
    eligible_models = random.SystemRandom().sample(range(LOWEST, max(low, LOWEST + 10_000)), 1_000)
    found = tuple(itertools.islice((port for port in eligible_models if is_free(port)), count))
    if len(found) < count:
        raise PortInUse(f"there are no {count} free ports below {low}")
    return found
