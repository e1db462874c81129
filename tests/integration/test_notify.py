"""What systemd is told, on the socket that it names; really sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_apps.embedded.notify import VARIABLE, ServiceManager


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        monkeypatch.setenv(VARIABLE, str(tmp_path / "notify"))
        yield receiver


def test_systemd_hears_that_the_stack_is_up_and_its_processes_do_not_speak_for_it(
    systemd: socket.socket,
) -> None:
    ServiceManager().tell(READY="1", STATUS="up")
    assert systemd.recv(100) == b"READY=1\nSTATUS=up"
    assert VARIABLE not in os.environ


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    ServiceManager().tell(READY="1")


def test_a_service_manager_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    ServiceManager().tell(WATCHDOG="1")
