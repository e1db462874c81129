"""Tells the books what no reading tells: minutes of readers, bytes that leave the site, bytes that are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from core.errors import NoPriceBook
from serve_apps.application.costs import site_cost_rules


class ChargedRows(Protocol):
    """`ledger.cost_charges`: each tells what is new, once. Raises LedgerUnavailable."""

    def take_reviews(self, minutes: float) -> int: ...
    def take_egress(self, is_inside: Callable[[str], bool], site: str) -> int: ...
    def take_storage(self, site: str) -> int: ...


class CostTelling:
    """A look tells what is new. While the price book cannot be read nothing is told, and later all of it is."""

    def __init__(self, rows: ChargedRows, price_book: Path, site: str) -> None:
        self._rows = rows
        self._price_book = price_book
        self._site = site

    def look(self) -> None:
        """Blocks. Reviews are told by a site that says how long they take."""
        try:
            rules = site_cost_rules(self._price_book)
        except NoPriceBook:
            return
        if rules.review_minutes is not None:
            self._rows.take_reviews(rules.review_minutes)
        self._rows.take_egress(rules.is_inside, self._site)
        self._rows.take_storage(self._site)
