"""Keeps the leases of running work by a thread of its own, so that a renewal never waits behind other work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

from core.errors import SerinusError

logger = logging.getLogger("serinus.leases")
Renew = Callable[[Collection[str], float], frozenset[str]]  # tokens and seconds to the tokens that are lost
Lost = Callable[[], object]


class LeaseKeeper:
    """Renews every third of a lease. Keyed by token: a job that is claimed again has a lease of its own.

    A ledger that does not answer loses no lease here: the token decides when it is back.
    """

    def __init__(self, renew: Renew, lease_s: float) -> None:
        self._renew = renew
        self._lease_s = lease_s
        self._held: dict[str, Lost] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def keep(self, token: str, lost: Lost) -> None:
        """Renew the lease until it is dropped; the keeper's thread calls the last `lost` if it went elsewhere."""
        self._held[token] = lost

    def drop(self, token: str) -> None:
        self._held.pop(token, None)

    @property
    def tokens(self) -> frozenset[str]:
        return frozenset(self._held)

    def renew_once(self) -> None:
        tokens = tuple(self._held)
        if not tokens:
            return
        try:
            lost_tokens = self._renew(tokens, self._lease_s)
        except SerinusError as error:
            logger.warning("leases.not_renewed", extra={"error": error.code, "leases": len(tokens)})
            return
        for token in lost_tokens:
            lost = self._held.pop(token, None)
            if lost is not None:  # else it was dropped meanwhile
                logger.info("leases.lost")
                lost()

    def close(self) -> None:
        """Stop renewing; what is still held runs out."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._lease_s / 3):
            try:
                self.renew_once()
            except Exception as error:
                logger.exception("leases.renewal_failed", extra={"error": type(error).__name__})
