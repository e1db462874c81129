"""A chain of digests: who changes, moves, adds or takes out a record breaks every one after it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

GENESIS: Final = "0" * 64
FIELDS: Final = frozenset({"kind", "content", "previous", "digest"})


def digest_of(body: object) -> str:
    """sha256 over a JSON value in its one form: keys sorted, the separators of `json.dumps`, ASCII only."""
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The record, counted from 1, at which a chain does not hold, and in a sentence why."""

    record: int
    problem: str


def chained(contents: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Records of kinds and contents (JSON values), each with the digest of the one before it and its own."""
    records: list[dict[str, Any]] = []
    previous = GENESIS
    for kind, content in contents:
        digest = digest_of([kind, content, previous])
        records.append({"kind": kind, "content": content, "previous": previous, "digest": digest})
        previous = digest
    return records


def chain_faults(records: Sequence[Any]) -> Iterator[ChainFault]:
    """Where the records are not what `chained` wrote, whatever JSON they are. The first fault is the first change.

    What is cut off at the end leaves a whole chain: compare the last digest with one that is kept elsewhere.
    """
    previous = GENESIS
    for number, record in enumerate(records, 1):
        if not _is_record(record):
            yield ChainFault(number, "is no record of a kind, a content and two digests")
            return
        if record["previous"] != previous:
            yield ChainFault(number, "does not follow the one before it: one was taken out, added or moved")
        if record["digest"] != digest_of([record["kind"], record["content"], record["previous"]]):
            yield ChainFault(number, "was changed")
        previous = record["digest"]


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or record.keys() != FIELDS:
        return False
    texts = all(isinstance(record[name], str) for name in ("kind", "previous", "digest"))
    return texts and isinstance(record["content"], dict)
