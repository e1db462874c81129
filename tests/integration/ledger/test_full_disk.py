"""The disk of the state folder is full: a freeze takes effect, and the answer says that it is not recorded."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from ledger import Ledger
from serve_apps.application.freeze import FreezeService
from serve_apps.application.routing_snapshot import FreezeNotice
from serve_apps.application.routing_state import Confirmation, RoutingState
from tests.unit.shell.builders import a_snapshot, a_version

SIZE = 4 << 20
STEP = bytes(4096)


class Disk:
    """A file system of its own, of 4 MiB; where nobody may mount one, a bound on the size of every file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "serinus-test", str(folder)]
        self.is_mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        self._bounds = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        if not self.is_mounted:
            largest = max(path.stat().st_size for path in self.folder.iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, self._bounds[1]))
            return
        with suppress(OSError), (self.folder / "filling").open("wb", buffering=0) as filling:
            while True:
                filling.write(STEP)

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._bounds)
        (self.folder / "filling").unlink(missing_ok=True)

    def remove(self) -> None:
        self.free()
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = Disk(folder)
    yield made
    made.remove()


class Replicas:
    """Two replicas over one ledger, told of a freeze as Serve's broadcast tells them."""

    def __init__(self, ledger: Ledger) -> None:
        self.states = [RoutingState(ledger.control) for _ in range(2)]

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]:
        for state in self.states:
            state.take_freeze(notice)
        return (Confirmation("Ingress", confirmed=2, replicas=2),)

    async def look(self) -> None:
        """What each does five times a second."""
        for state in self.states:
            await state.follow()

    @property
    def are_frozen(self) -> set[bool]:
        return {state.snapshot.table("ich-triage").frozen for state in self.states}

    @property
    def alarms(self) -> set[str | None]:
        return {state.alarm for state in self.states}


@pytest.fixture
async def replicas(disk: Disk) -> AsyncIterator[tuple[Replicas, Ledger]]:
    ledger = Ledger.open(f"sqlite:///{disk.folder / 'ledger.db'}")
    made = Replicas(ledger)
    for state in made.states:
        await state.take(a_snapshot(a_version()))
    yield made, ledger
    for state in made.states:
        state.close()
    ledger.close()


async def test_a_freeze_holds_on_a_full_disk_says_that_it_is_not_recorded_and_is_recorded_later(
    disk: Disk, replicas: tuple[Replicas, Ledger]
) -> None:
    states, ledger = replicas
    with ThreadPoolExecutor(1) as executor:
        ingress = states.states[0]
        service = FreezeService(ledger.routing, states, executor, is_unrecorded=lambda: ingress.is_unrecorded)
        disk.fill()
        outcome = await service.freeze("a drill", "ada")
        assert (outcome.frozen, outcome.recorded, outcome.holds) == (True, False, True)
        await states.look()
        assert states.are_frozen == {True}
        assert states.alarms == {"this replica obeys a freeze that the ledger has not recorded"}
        await service.record_pending()
        assert ledger.routing.frozen() is None, "the disk is still full"

        disk.free()
        await service.record_pending()
        frozen = ledger.routing.frozen()
        assert frozen is not None
        assert (frozen.actor, frozen.reason) == ("ada", "a drill")
        await service.unfreeze("ada")
        await states.look()
        assert states.are_frozen == {False}
