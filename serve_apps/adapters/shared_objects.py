"""Ray's object store for loans: a reference that travels in any message, and the object behind it.

Ray pins for ever what is pickled outside of its own calls, since it cannot count who reads it. The pin is taken back
at once (`CoreWorker.remove_object_ref_reference`, Ray 2.60): `application.loans` holds the reference instead, for as
long as somebody reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, ObjectLostError

from core.errors import StudyEvicted
from serve_apps.adapters.broadcast import SendToAll, ServeHandles

OPEN_S: Final = 60.0  # another node may have to send it
TELL_S: Final = 5.0
EVICTED: Final = "the study left the object store before it was read"


def pack(reference: Any) -> bytes:
    """The reference as bytes that do not keep the object; whoever calls this does."""
    packed: bytes = cloudpickle.dumps(reference)
    core_worker: Any = ray._private.worker.global_worker.core_worker
    core_worker.remove_object_ref_reference(reference)
    return packed


def open_packed(packed: bytes, within_s: float = OPEN_S) -> Any:
    """The object, its arrays as read-only views into the store. Blocks. Raises StudyEvicted."""
    try:
        return ray.get(cloudpickle.loads(packed), timeout=within_s)
    except (ObjectLostError, GetTimeoutError):
        raise StudyEvicted(EVICTED) from None


class GiveBackByHandle:
    """Tells every replica of a lender which loans are given back."""

    def __init__(self, send_to_all: SendToAll | None = None) -> None:
        self._send_to_all = send_to_all or ServeHandles().send_to_all

    async def __call__(self, lender: str, ids: Sequence[str]) -> None:
        async with asyncio.timeout(TELL_S):
            replies = await self._send_to_all(lender, "give_back", tuple(ids))
            await asyncio.gather(*replies, return_exceptions=True)
