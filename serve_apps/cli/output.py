"""What every command prints: tables for people, one JSON document for machines (`--json`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 140  # a pipe has no width; a table that is folded into 80 columns cannot be read
out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPED_WIDTH)
Say = Callable[[str], None]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def fail(message: str, as_json: bool = False, code: str = "failed") -> NoReturn:
    """End with exit code 1 and a message that says what to do."""
    if as_json:
        print_json({"error": {"code": code, "detail": message}})
    else:
        err.print(f"[bold red]error[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(1)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) if cell is not None else "–" for cell in row))  # no markup
    out.print(shown)


@contextmanager
def progress(as_json: bool) -> Iterator[Say]:
    """Lines with the time since the start, on stderr so that `--json` stays one document."""
    started = time.monotonic()

    def say(text: str) -> None:
        if not as_json:
            err.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}", soft_wrap=True)

    yield say
