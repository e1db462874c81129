"""Readers that are processes of their own and read one study at a time: whatever ends one, is known.

There is none until it is needed; from then on as many are kept ready as may read at a time.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe
from typing import Any, Final, Protocol

from core.errors import Overloaded, ReplicaDied, SerinusError, WorkerLost
from imaging.volume import Volume
from serve_apps.application.messages import FetchedStudy, FetchRequest
from serve_apps.application.priority_gate import PriorityGate
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.reader")
PROCESSES: Final = 2
START_AGAIN_S: Final = 1.0
START: Final = (  # it finds its modules where this process does
    "import sys; number, *sys.path = sys.argv[1:]; "
    "from serve_apps.adapters.apart_process import main; main(int(number))"
)


class ReaderProcess(Protocol):
    """A process that has started. `read` and `end` block."""

    def read(self, request: FetchRequest) -> FetchedStudy:
        """The study with the volume itself. Raises SerinusError; ReplicaDied when the process has ended."""
        ...

    def end(self) -> None: ...


class ApartReaders:
    """Reads each study in a process that reads nothing else meanwhile. It belongs to one event loop."""

    def __init__(
        self,
        start: Callable[[], ReaderProcess],
        store: Callable[[Volume], Any],
        processes: int = PROCESSES,
    ) -> None:
        """`start` starts a process and returns when it is ready; `store` puts a volume where versions read it."""
        self._start = start
        self._store = store
        self._processes = processes
        self._gate = PriorityGate(processes)
        self._pool = ThreadPoolExecutor(3 * processes, "apart")
        self._ready: asyncio.Queue[ReaderProcess] = asyncio.Queue()
        self._running: set[ReaderProcess] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        """Fetch the study. Raises ReplicaDied when its process ends, Overloaded at the deadline."""
        while len(self._running) + len(self._starting) < self._processes:
            self._start_one()
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._gate.slot(request.order, request.study.source),
            ):
                return await self._read(request, await self._ready.get())
        except TimeoutError:
            raise Overloaded("no process of its own read the study in time") from None

    def close(self) -> None:
        """End the processes. What they read is no suspect."""
        self._is_closed = True
        for task in self._starting:
            task.cancel()
        for process in self._running:
            process.end()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _read(self, request: FetchRequest, process: ReaderProcess) -> FetchedStudy:
        try:
            study: FetchedStudy = await self._in_thread(process.read, request)
        except ReplicaDied:
            self._lose(process)
            if self._is_closed:
                raise WorkerLost("this worker ends") from None
            raise
        except SerinusError:
            self._ready.put_nowait(process)
            raise
        except BaseException:  # nobody waits any more, and the process still reads
            self._lose(process)
            raise
        self._ready.put_nowait(process)
        return replace(study, volume=await self._in_thread(self._store, study.volume))

    def _lose(self, process: ReaderProcess) -> None:
        if self._is_closed:  # which ended them all
            return
        self._running.discard(process)
        self._pool.submit(process.end)
        self._start_one()

    def _start_one(self) -> None:
        task = asyncio.get_running_loop().create_task(self._until_started())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _until_started(self) -> None:
        while True:
            try:
                process = await self._in_thread(self._start)
            except ReplicaDied as error:
                logger.warning("reader.not_started", extra={"error": error.detail})
                await asyncio.sleep(START_AGAIN_S)
                continue
            self._running.add(process)
            self._ready.put_nowait(process)
            return

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


class ApartProcess:
    """A ReaderProcess: `serve_apps.adapters.apart_process` at the other end of a socket."""

    def __init__(self, settings: Settings) -> None:
        """Start it, and wait until it is ready. Raises ReplicaDied."""
        self._connection, theirs = Pipe()
        command = [sys.executable, "-c", START, str(theirs.fileno()), *sys.path]
        with theirs:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self._exchange(settings)

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self, request: FetchRequest) -> FetchedStudy:
        outcome = self._exchange(request)
        if isinstance(outcome, SerinusError):
            raise outcome
        study: FetchedStudy = outcome
        return study

    def end(self) -> None:
        self._process.kill()  # which also ends a `read` in another thread
        self._process.wait()

    def _exchange(self, message: object) -> Any:
        try:
            self._connection.send(message)
            return self._connection.recv()
        except (OSError, EOFError):
            self._process.kill()
            code = self._process.wait()
            raise ReplicaDied(f"the process that read the study ended with {code}") from None
