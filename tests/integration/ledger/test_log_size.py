"""The write-ahead log stays small under readers that leave no gap and a writer that never rests."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import sqlalchemy as sa

from ledger.database import Database
from ledger.log_size import WriteAheadLog
from ledger.tables import documents

MIB = 1 << 20
READERS = 3
SECONDS = 4.0
LONGEST = 2 * MIB


def read_without_a_gap(url: str, stop: Event) -> None:
    database = Database(url)
    query = sa.select(documents.c.job_id, sa.func.length(documents.c.content))
    while not stop.is_set():
        with database.read() as connection:
            connection.execute(query).all()


def write(database: Database, number: int) -> None:
    row = {"job_id": f"job-{number % 200}", "kind": "sr", "content": bytes(50_000)}
    with database.write_unsynced() as connection:
        connection.execute(database.insert_over(documents, ("job_id", "kind")), row)


def test_the_log_stays_small_and_nobody_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    database = Database(url)
    for number in range(200):
        write(database, number)
    log = WriteAheadLog(database.file, LONGEST)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    readers = [context.Process(target=read_without_a_gap, args=(url, stop)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    sizes, slowest_s, number, end, trimmed = [0], 0.0, 0, time.monotonic() + SECONDS, time.monotonic()
    while time.monotonic() < end:
        began = time.monotonic()
        write(database, number)
        slowest_s, number = max(slowest_s, time.monotonic() - began), number + 1
        if time.monotonic() - trimmed > 0.2:
            sizes.append(log.trim())
            trimmed = time.monotonic()
    alive = [reader.is_alive() for reader in readers]
    stop.set()
    for reader in readers:
        reader.join(20)
    assert alive == [True] * READERS, "a reader was refused"
    assert [reader.exitcode for reader in readers] == [0] * READERS
    assert number * 50_000 > 4 * LONGEST, "too little was written to tell"
    assert sorted(sizes)[len(sizes) // 2] <= LONGEST, f"the log: {[size // MIB for size in sizes]} MiB"
    assert slowest_s < 2.0
    database.close()
