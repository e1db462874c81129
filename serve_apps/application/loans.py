"""Volumes that a study reader owns and others read: each is kept until its borrower gives it back.

Ray would count the readers of an object by itself, but only along calls that go through its object store, which take
three times as long as a call by gRPC and are most of what a small study costs. So a reader lends instead:

    reader:    lend ──► kept ──► given back, or not heard of for longer than any job takes
    borrower:  borrow ──► held by whoever works with it ──► dropped by the last of them ──► given back, a little later

A borrower that dies gives nothing back, a reader that dies takes its volumes with it: the study is fetched again.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

logger = logging.getLogger("serinus.loans")
TELL_S: Final = 0.5  # so long what was dropped is collected, so that many studies cost one call
MOST_UNTOLD: Final = 10_000


@dataclass(frozen=True, slots=True)
class Loan:
    """An object that a reader keeps in the object store. `packed` is its reference, fit to travel in any message."""

    id: str
    lender: str
    packed: bytes = field(repr=False)


class LoanBook:
    """What one reader has lent, and until when it is kept at the longest. `pack` makes a reference fit to travel."""

    def __init__(
        self,
        lender: str,
        longest_s: float,
        pack: Callable[[Any], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lender = lender
        self._longest_s = longest_s
        self._pack = pack
        self._clock = clock
        self._lent: dict[str, tuple[float, Any]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._lent)

    def lend(self, reference: Any) -> Loan:
        """Keep what the reference names for one more borrower."""
        self.forget()
        loan = Loan(uuid.uuid4().hex, self._lender, self._pack(reference))
        self._lent[loan.id] = (self._clock() + self._longest_s, reference)
        return loan

    def give_back(self, ids: Iterable[str]) -> None:
        """Keep these no longer; those of other readers are passed over."""
        for loan_id in ids:
            self._lent.pop(loan_id, None)

    def forget(self) -> None:
        """Let go of what nobody can be reading any more: its borrower died, or never heard of it."""
        now_s = self._clock()
        while self._lent:
            oldest, (until_s, _) = next(iter(self._lent.items()))
            if until_s > now_s:
                return
            del self._lent[oldest]


class Borrowed:
    """A loan in this process. It is given back when nobody here holds it any more, however the work ended."""

    __slots__ = ("__weakref__", "_finalizer", "loan")

    def __init__(self, loan: Loan, dropped: Callable[[Loan], None]) -> None:
        self.loan = loan
        self._finalizer = weakref.finalize(self, dropped, loan)
        self._finalizer.atexit = False

    def pass_on(self) -> Loan:
        """The loan, for another process that is to give it back instead of this one."""
        self._finalizer.detach()
        return self.loan


GiveBack = Callable[[str, tuple[str, ...]], Awaitable[None]]  # lender, ids of loans


class Borrower:
    """Borrows for one process and gives back what is dropped, some loans at a time. `tell` reaches all of a lender's
    replicas, and raises when it reached none.
    """

    def __init__(self, tell: GiveBack, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._tell = tell
        self._sleep = sleep
        self._dropped: deque[Loan] = deque(
            maxlen=MOST_UNTOLD
        )  # what falls out, its lender forgets in the end

    def borrow(self, loan: Loan) -> Borrowed:
        return Borrowed(loan, self.drop)

    def drop(self, loan: Loan) -> None:
        """Nobody here needs it any more. Called from any thread."""
        self._dropped.append(loan)

    async def give_back_forever(self) -> None:
        while True:
            await self._sleep(TELL_S)
            await self.give_back()

    async def give_back(self) -> None:
        """Tell the lenders once what was dropped; what they could not be told, they are told the next time."""
        by_lender: dict[str, list[Loan]] = {}
        while self._dropped:
            loan = self._dropped.popleft()
            by_lender.setdefault(loan.lender, []).append(loan)
        for lender, loans in by_lender.items():
            try:
                await self._tell(lender, tuple(loan.id for loan in loans))
            except Exception as error:  # noqa: BLE001 - the lender may be gone; nobody waits for this
                logger.info("loans.not_given_back", extra={"lender": lender, "error": type(error).__name__})
                self._dropped.extend(loans)
