"""A ground-truth set in a CSV file. An error names the line, and never what stands in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from core.uid import is_uid
from serve_apps.cli.truth_file import BadFile

NEEDED: Final = ("study_uid", "study_source", "label", "source", "reader")
COLUMNS: Final = (*NEEDED, "series_uid", "finding")


def read_set(path: Path) -> tuple[Mapping[str, str], ...]:
    """The lines of a set as the API takes them. Raises BadFile before anything was sent.

    An empty cell is a field that is left out. Lines are counted from 1, the header among them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"the file cannot be read: {type(error).__name__}") from None
    lines = tuple(_lines(text))
    if not lines:
        raise BadFile("the file has no study")
    return lines


def _lines(text: str) -> Iterator[Mapping[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or ()
    if set(names) - set(COLUMNS) or set(NEEDED) - set(names) or len(names) != len(set(names)):
        raise BadFile(f"line 1: the columns are {', '.join(NEEDED)}, and may be series_uid and finding")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadFile(f"line {reader.line_num}: it has another number of cells than the header")
            yield _line(reader.line_num, row)
    except csv.Error:
        raise BadFile(f"line {reader.reader.line_num}: it is no CSV") from None


def _line(number: int, row: Mapping[str, str]) -> Mapping[str, str]:
    told = {name: cell.strip() for name, cell in row.items() if cell.strip()}
    if missing := [name for name in NEEDED if name not in told]:
        raise BadFile(f"line {number}: {missing[0]} is missing")
    if any(not is_uid(told[name]) for name in ("study_uid", "series_uid") if name in told):
        raise BadFile(f"line {number}: a UID is none")
    return told
