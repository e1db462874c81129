"""What a decision was made of, as text that can be kept: what was known of the study, and the routing table.

A table is the same for thousands of studies, so it is kept once, by the digest of its text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256

from canary.assignment import StudyFacts
from canary.routing_table import RoutingTable
from core.codec import from_json, to_json

REMEMBERED_TABLES = 64


@dataclass(frozen=True, slots=True)
class TableText:
    """A routing table as JSON, and the digest that names it."""

    json: str
    digest: str


class _Same:
    """One table, compared by identity: to compare it by value costs as much as to write it."""

    def __init__(self, table: RoutingTable) -> None:
        self.table = table

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.table is other.table

    def __hash__(self) -> int:
        return id(self.table)


def table_text(table: RoutingTable) -> TableText:
    """The table's text. It is made once per table, not per study."""
    return _table_text(_Same(table))


@lru_cache(maxsize=REMEMBERED_TABLES)
def _table_text(same: _Same) -> TableText:
    text = to_json(RoutingTable, same.table)
    return TableText(text, digest_of(text))


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def facts_text(facts: StudyFacts) -> str:
    """The facts' text. What a study says of itself may hold half a character, which no text can: it becomes `?`."""
    modality, scanner = (text.encode(errors="replace").decode() for text in (facts.modality, facts.scanner))
    return to_json(StudyFacts, replace(facts, modality=modality, scanner=scanner))


def read_facts(text: str) -> StudyFacts:
    """Raises ValueError for a damaged text."""
    return from_json(StudyFacts, text)


def read_table(text: str, digest: str) -> RoutingTable:
    """Raises ValueError for a damaged text, and for one that is not of this digest."""
    if digest_of(text) != digest:
        raise ValueError("the table is not the one that its digest names")
    return from_json(RoutingTable, text)
