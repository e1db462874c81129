"""Ports: is one free, and which may be used for what nobody addresses by number."""

from __future__ import annotations

import socket
from collections.abc import Mapping


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


def free_ports(count: int, host: str = "127.0.0.1") -> tuple[int, ...]:
    """`count` distinct ports that are free now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind((host, 0))
        return tuple(each.getsockname()[1] for each in sockets)
    finally:
        for each in sockets:
            each.close()
