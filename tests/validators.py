"""`dciodvfy` (dicom3tools) and `dsrdump` (dcmtk): programs of others that say whether an object is valid DICOM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pydicom.dataset import Dataset

from imaging.encoded import to_part10

DCIODVFY = Path(sys.executable).parent / "dciodvfy"


# what dcmtk says of a set that it does not know: of several single ones, and of all with code extensions
CANNOT_CHECK = (
    "VR checker does not support this Specific",
    "Reading unknown/unsupported SpecificCharacterSet",
)
CANNOT_CONVERT = "is not supported by the utilized character set conversion library"


def run(program: str | Path, path: Path, *options: str) -> tuple[int, str]:
    """Exit code and all that was printed; the bytes of a file may be of no character set."""
    done = subprocess.run([str(program), *options, str(path)], capture_output=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def written(document: Dataset | bytes, folder: Path) -> Path:
    path = folder / "object.dcm"
    path.write_bytes(document if isinstance(document, bytes) else to_part10(document))
    return path


def assert_valid_sr(document: Dataset | bytes, folder: Path) -> str:
    """Neither program finds an error in a structured report, and `dsrdump` no reason to warn.

    Returns what it reads, in UTF-8; empty for a character set that it cannot convert.
    """
    path = written(document, folder)
    assert_iod_valid(path)
    code, text = run("dsrdump", path)
    assert code == 0, text
    warnings = [line for line in text.splitlines() if line.startswith(("E:", "W:"))]
    assert not [line for line in warnings if not any(known in line for known in CANNOT_CHECK)], text
    code, text = run("dsrdump", path, "+U8")
    assert code == 0 or CANNOT_CONVERT in text, text
    return text if code == 0 else ""


def assert_valid_seg(document: Dataset | bytes, folder: Path) -> None:
    """`dciodvfy` finds no error in a segmentation; `dsrdump` reads reports only."""
    assert_iod_valid(written(document, folder))


def assert_iod_valid(path: Path) -> None:
    code, text = run(DCIODVFY, path)
    assert (code, "Error" in text) == (0, False), text
