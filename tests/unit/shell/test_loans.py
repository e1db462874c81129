"""A volume is kept exactly as long as somebody reads it, or as long as somebody could; then nothing is left of it."""

from __future__ import annotations

import asyncio
import gc

from serve_apps.application.loans import Borrowed, Borrower, Loan, LoanBook


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Readers:
    """The readers' books by deployment; may be away for some calls."""

    def __init__(self, *lenders: str, longest_s: float = 60.0) -> None:
        self.clock = Clock()
        self.books = {name: LoanBook(name, longest_s, str.encode, self.clock) for name in lenders}
        self.away = 0
        self.calls: list[tuple[str, int]] = []

    async def __call__(self, lender: str, ids: tuple[str, ...]) -> None:
        if self.away:
            self.away -= 1
            raise RuntimeError("no replica")
        self.calls.append((lender, len(ids)))
        self.books[lender].give_back(ids)


def test_a_loan_travels_without_what_it_names() -> None:
    loan = LoanBook("StudyReader", 60, str.encode).lend("a reference")
    assert (loan.lender, loan.packed) == ("StudyReader", b"a reference")
    assert "reference" not in repr(loan)


def test_two_borrowers_of_one_volume_each_give_back_their_own() -> None:
    book = LoanBook("StudyReader", 60, str.encode)
    first, second = book.lend("ref"), book.lend("ref")
    book.give_back([first.id, "of another reader"])
    book.give_back([first.id])
    assert len(book) == 1
    book.give_back([second.id])
    assert len(book) == 0


def test_what_nobody_gives_back_is_let_go_in_the_end() -> None:
    clock = Clock()
    book = LoanBook("StudyReader", 60, str.encode, clock)
    book.lend("of a borrower that died")
    clock.now_s = 30
    book.lend("of one that lives")
    clock.now_s = 61
    book.forget()
    assert len(book) == 1


async def test_many_studies_leave_nothing_however_their_work_ends() -> None:
    readers = Readers("StudyReader", "JobWorker")
    borrower = Borrower(readers)

    async def work(number: int) -> None:
        held = borrower.borrow(readers.books["StudyReader" if number % 2 else "JobWorker"].lend("ref"))
        if number % 3 == 0:
            raise RuntimeError("the study fails")
        if number % 3 == 1:
            await asyncio.Event().wait()  # until it is cancelled
        assert held.loan.packed == b"ref"

    tasks = [asyncio.create_task(work(number)) for number in range(30)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    del tasks, task
    await asyncio.sleep(0)  # until now the loop itself holds what `gather` gave, tracebacks with their frames
    gc.collect()
    await borrower.give_back()
    assert [len(book) for book in readers.books.values()] == [0, 0]
    assert sorted(readers.calls) == [("JobWorker", 15), ("StudyReader", 15)]


async def test_what_could_not_be_told_is_told_the_next_time() -> None:
    readers = Readers("StudyReader")
    borrower, readers.away = Borrower(readers), 1
    borrower.drop(readers.books["StudyReader"].lend("ref"))
    await borrower.give_back()
    assert len(readers.books["StudyReader"]) == 1
    await borrower.give_back()
    assert len(readers.books["StudyReader"]) == 0


async def test_nobody_is_called_when_nothing_was_dropped() -> None:
    readers = Readers("StudyReader")
    borrower = Borrower(readers)
    held = borrower.borrow(readers.books["StudyReader"].lend("ref"))
    await borrower.give_back()
    assert readers.calls == []
    assert held.loan


def test_a_loan_that_was_passed_on_is_given_back_by_the_other() -> None:
    dropped: list[Loan] = []
    here = Borrowed(Loan("1", "StudyReader", b""), dropped.append)
    there = Borrowed(here.pass_on(), dropped.append)
    del here
    assert dropped == []
    del there
    assert [loan.id for loan in dropped] == ["1"]
