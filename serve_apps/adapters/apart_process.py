"""A process that reads one study at a time and nothing else. It is asked, and answers, by a socket that it inherits.

The settings come first, then requests. It ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import logging
from multiprocessing.connection import Connection
from typing import Any

from core.errors import SerinusError, Unforeseen
from core.private_files import write_privately
from imaging.volume import Volume
from observability.event_log import configure_logging
from serve_apps.adapters.guarded_fetcher import guarded_fetcher
from serve_apps.application.fetch_study import StudyFetcher
from serve_apps.application.messages import FetchedStudy, FetchRequest

logger = logging.getLogger("serinus.reader")


def main(file_descriptor: int) -> None:
    """What the process does from its start to its end."""
    write_privately()
    configure_logging("INFO")
    asyncio.run(serve(Connection(file_descriptor)))


async def serve(connection: Connection) -> None:
    """Answer requests with a FetchedStudy that holds the volume itself, or with the error, until nobody asks more."""
    settings: Any = connection.recv()
    fetcher = guarded_fetcher(settings, itself, reads=1)
    connection.send(None)
    try:
        while True:
            request: FetchRequest = await asyncio.to_thread(connection.recv)
            connection.send(await outcome_of(fetcher, request))
    except EOFError:
        await fetcher.aclose()


async def outcome_of(fetcher: StudyFetcher, request: FetchRequest) -> FetchedStudy | SerinusError:
    try:
        return await fetcher.fetch(request)
    except SerinusError as error:
        return error
    except Exception as error:
        logger.exception("reader.unexpected")
        return Unforeseen(f"unexpected {type(error).__name__}")


def itself(volume: Volume) -> Volume:
    """There is no object store here."""
    return volume
