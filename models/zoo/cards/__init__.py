"""The model cards: trained on what, measured how, not to be used for what."""

from __future__ import annotations

from pathlib import Path


def card(name: str) -> str:
    """The card of a model of the zoo, as Markdown. Raises FileNotFoundError for a name without one."""
    return (Path(__file__).parent / f"{name}.md").read_text(encoding="utf-8")
