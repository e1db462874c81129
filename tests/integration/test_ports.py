"""Ports for servers that start some seconds later."""

from __future__ import annotations

import socket
from pathlib import Path

from serve_apps.embedded.ports import free_ports, is_free


def test_chosen_ports_are_distinct_and_none_that_the_kernel_hands_out() -> None:
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert max(ports) < lowest_ephemeral


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
