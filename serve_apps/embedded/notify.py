"""Tells systemd how this process stands, by the protocol of sd_notify(3). Without systemd nobody is told."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


class ServiceManager:
    """Takes the socket out of the environment: processes that are started later do not speak for this one."""

    def __init__(self) -> None:
        self._address = os.environ.pop(VARIABLE, "")

    def tell(self, **state: str) -> None:
        """As `tell(READY="1", STATUS="up")`. A service manager that is gone is told nothing."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{name}={value}" for name, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), address)
