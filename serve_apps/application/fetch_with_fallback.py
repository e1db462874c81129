"""Which process reads a study, and what follows when that process ends under it.

    the study reader, among others ──ended──► a process of the study's own, at once ──ended──► parked
          ▲ until it answers again, every study is read by a process of its own: ended ──► once more ──ended──► parked

Nobody knows from which of its studies a reader ended. So each of them is read again by a process that reads nothing
else: those beside the culprit lose a moment, and the culprit alone is parked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final, Protocol

from core.errors import PoisonStudy, ReplicaDied, SerinusError
from core.study import StudyRef
from serve_apps.application.messages import FetchedStudy, FetchRequest

logger = logging.getLogger("serinus.reader")
PARKED_KEPT: Final = 10_000
LOOK_AGAIN_S: Final = 0.5


class Reader(Protocol):
    """Whatever reads studies. Raises SerinusError; ReplicaDied when its process ended under the study."""

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy: ...


class SharedReader(Reader, Protocol):
    """A reader of many studies at a time."""

    async def answer(self) -> None:
        """Returns as soon as there is a process that could read. Raises SerinusError."""
        ...


class Way(Enum):
    TOGETHER = auto()
    APART = auto()
    PARKED = auto()


def way_of(ended: int, *, reader_is_away: bool) -> Way:
    """How a study is read under which `ended` processes have ended, the first perhaps by no fault of its own."""
    if ended == 0 and not reader_is_away:
        return Way.TOGETHER
    return Way.APART if ended < 2 else Way.PARKED


class ParkedStudies:
    """Studies that ended each process that read them, the newest ones only."""

    def __init__(self, studies: Iterable[StudyRef] = (), kept: int = PARKED_KEPT) -> None:
        self._studies = dict.fromkeys(studies)
        self._kept = kept

    def __contains__(self, study: StudyRef) -> bool:
        return study in self._studies

    def add(self, study: StudyRef) -> None:
        self._studies[study] = None
        if len(self._studies) > self._kept:
            del self._studies[next(iter(self._studies))]

    def discard(self, study: StudyRef) -> None:
        self._studies.pop(study, None)


class FallbackFetcher:
    """Has studies read together, and apart where a process has ended. It belongs to one event loop."""

    def __init__(self, shared: SharedReader, apart: Reader, parked: ParkedStudies) -> None:
        self._shared = shared
        self._apart = apart
        self._parked = parked
        self._return: asyncio.Task[None] | None = None

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        """Fetch the study, in a second process if the first one ends.

        Raises PoisonStudy when that ends, too, and at once for a study that is parked, unless it is forced.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        was_parked = request.study in self._parked
        if was_parked and not request.force:
            raise PoisonStudy(
                "it ended each process that read it; asked for with `force` it is read once more"
            )
        ended = int(was_parked)
        while (way := way_of(ended, reader_is_away=self._is_away)) is not Way.PARKED:
            reader = self._shared if way is Way.TOGETHER else self._apart
            try:
                study = await reader.fetch(request, end - loop.time())
            except ReplicaDied:
                ended += 1
                if way is Way.TOGETHER:
                    self._watch_for_return()
                continue
            self._parked.discard(request.study)
            return study
        self._parked.add(request.study)
        logger.error("reader.study_parked", extra={"source": request.study.source})
        raise PoisonStudy(f"{ended} processes ended while they read this study, the last one read no other")

    def close(self) -> None:
        if self._return is not None:
            self._return.cancel()

    @property
    def _is_away(self) -> bool:
        return self._return is not None and not self._return.done()

    def _watch_for_return(self) -> None:
        if not self._is_away:
            self._return = asyncio.get_running_loop().create_task(self._await_return())

    async def _await_return(self) -> None:
        while True:
            try:
                return await self._shared.answer()
            except SerinusError as error:
                logger.info("reader.away", extra={"error": error.code})
                await asyncio.sleep(LOOK_AGAIN_S)
