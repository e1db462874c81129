"""Truths in a file: JSON lines, or CSV with a header. An error names the line, and never what stands in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.uid import is_uid

STUDY: Final = "study_uid"
COLUMNS: Final = (
    *(STUDY, "model", "finding", "label", "value", "unit", "source", "reader", "read_at", "note"),
)


class BadFile(ValueError):
    """The file is no table of truths; the text names the line."""


@dataclass(frozen=True, slots=True)
class TruthLine:
    """One truth to be told, and the line that it stands in, from 1."""

    number: int
    study_uid: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)


def read_truths(path: Path) -> tuple[TruthLine, ...]:
    """All truths of a file, by its ending: `.csv`, else JSON lines. Raises BadFile before anything was told.

    An empty cell is a field that is left out, and so is an empty line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"the file cannot be read: {type(error).__name__}") from None
    rows = _from_csv(text) if path.suffix.lower() == ".csv" else _from_json_lines(text)
    return tuple(_line(number, row) for number, row in rows)


def _from_csv(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or ()
    unknown = len(set(names) - set(COLUMNS)) or len(names) != len(set(names))
    if unknown or STUDY not in names:
        raise BadFile(f"line 1: the columns are some of {', '.join(COLUMNS)}, each once, {STUDY} among them")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadFile(f"line {reader.line_num}: it has another number of cells than the header")
            yield reader.line_num, _cells(reader.line_num, row)
    except csv.Error:
        raise BadFile(f"line {reader.reader.line_num}: it is no CSV") from None


def _cells(number: int, row: Mapping[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {name: cell.strip() for name, cell in row.items() if cell.strip()}
    try:
        return told | ({"value": float(told["value"])} if "value" in told else {})
    except ValueError:
        raise BadFile(f"line {number}: value is no number") from None


def _from_json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise BadFile(f"line {number}: it is no JSON") from None
        if not isinstance(row, dict):
            raise BadFile(f"line {number}: it is no JSON object")
        yield number, row


def _line(number: int, row: dict[str, Any]) -> TruthLine:
    study = row.pop(STUDY, None)
    if not isinstance(study, str) or not is_uid(study):
        raise BadFile(f"line {number}: {STUDY} is no UID")
    return TruthLine(number, study, row)
