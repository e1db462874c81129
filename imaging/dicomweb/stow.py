"""STOW-RS in values: the request body and what its answer really says (PS3.18 §10.5)."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import ReportRefused, ReportRejected

_OUT_OF_RESOURCES: Final = 0xA700
_MENDED_BY_THE_SITE: Final = frozenset({401, 403, 404, 407, 408, 423, 425, 429})
_REFERENCED, _FAILED = "00081199", "00081198"
_REFERENCED_UID, _FAILURE_REASON = "00081155", "00081197"
# exactly this: with a transfer-syntax parameter Orthanc 1.10 answers 200 and stores nothing
_PART_HEADER: Final = b"Content-Type: application/dicom\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`sent` maps SOP Instance UID to study; `missing` are those the answer does not list as stored."""

    status: int
    sent: Mapping[str, str]
    missing: tuple[str, ...]
    reasons: tuple[int, ...]


def encode_multipart(parts: Sequence[bytes]) -> tuple[str, bytes]:
    """The Content-Type and body of one STOW-RS request of Part 10 files, as they are."""
    boundary = _boundary_outside(parts)
    chunks: list[bytes] = []
    for part in parts:
        chunks += [b"--", boundary, b"\r\n", _PART_HEADER, part, b"\r\n"]
    body = b"".join([*chunks, b"--", boundary, b"--\r\n"])
    return f'multipart/related; type="application/dicom"; boundary={boundary.decode()}', body


def _boundary_outside(parts: Iterable[bytes]) -> bytes:
    """A boundary that no part contains; parts carry no length, so it must not."""
    held = tuple(parts)
    while True:
        boundary = secrets.token_hex(16).encode()
        if not any(boundary in part for part in held):
            return boundary


def read_receipt(status: int, body: bytes, sent: Mapping[str, str]) -> Receipt:
    """Count what was stored, by UID. The status proves nothing: 200 may store none, 400 may store some."""
    answer = _json_object(body)
    stored = {_first(item, _REFERENCED_UID) for item in _items(answer, _REFERENCED)}
    reasons = [_first(item, _FAILURE_REASON) for item in _items(answer, _FAILED)]
    return Receipt(
        status=status,
        sent=sent,
        missing=tuple(uid for uid in sent if uid not in stored),
        reasons=tuple(int(reason) for reason in reasons if reason.isdigit()),
    )


def rejected(receipt: Receipt, lacking: Sequence[str]) -> ReportRejected:
    """The error for instances that the archive lacks, with its failure reasons (PS3.18 §10.5.3), no UID.

    ReportRefused where sending the same again is in vain.
    """
    kind = ReportRefused if is_final(receipt) else ReportRejected
    counts = Counter(f"{reason:04X}H" for reason in receipt.reasons)
    reasons = (
        ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items())) or "no reason given"
    )
    lack = f"lacks {len(lacking)} of {len(receipt.sent)} instances"
    return kind(f"the archive answered {receipt.status} and {lack}: {reasons}")


def is_final(receipt: Receipt) -> bool:
    """Whether the archive refused the object itself, and not because it was full, busy or locked to us.

    A site mends an archive that is full (PS3.4 B.2.3, A7xxH) or a credential, and then the same object is taken.
    """
    if receipt.status >= 500:
        return False
    if receipt.reasons:
        return not any(_OUT_OF_RESOURCES <= reason < _OUT_OF_RESOURCES + 0x100 for reason in receipt.reasons)
    return 400 <= receipt.status < 500 and receipt.status not in _MENDED_BY_THE_SITE


def _json_object(body: bytes) -> Mapping[str, Any]:
    """The answer, or an empty one when it is not DICOM JSON: then nothing counts as stored."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _items(answer: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values or [] if isinstance(item, dict)]


def _first(item: Mapping[str, Any], tag: str) -> str:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if values else ""
