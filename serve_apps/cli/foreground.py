"""`serinus up --foreground`: the stack as one process that systemd or a container can hold on to."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from serve_apps.embedded import lifecycle
from serve_apps.embedded.live_parts import LiveParts
from serve_apps.embedded.notify import ServiceManager
from serve_apps.embedded.supervise import LOOK_S, Supervisor
from serve_apps.settings import Settings

Say = Callable[[str], None]


def in_foreground(settings: Settings, bring_up: Callable[[], None], say: Say) -> NoReturn:
    """Bring the stack up and keep it up until SIGTERM or SIGINT; then, and after any failure, end all of it.

    Raises what `bring_up` raises, and StackFailed.
    """
    manager = ServiceManager()
    with ending(settings, manager):
        lifecycle.clear_remains(settings)
        bring_up()
        manager.tell(READY="1", STATUS="up")
        supervisor = Supervisor(LiveParts(settings, say), say)
        while True:
            supervisor.look()
            manager.tell(WATCHDOG="1")
            time.sleep(LOOK_S)


@contextmanager
def ending(settings: Settings, manager: ServiceManager) -> Iterator[None]:
    """Whatever happens within, no process of the stack outlives it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        manager.tell(STOPPING="1")
        lifecycle.stop(settings)
