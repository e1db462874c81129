"""Close an evidence pack: a hash chain over its records, and a signature over the last digest. And check one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from core.hash_chain import chain_faults, chained
from registry.pack_signature import fingerprint, is_signed

FORMAT: Final = "serinus-evidence-pack-1"
EXPORT: Final = "export"
ALGORITHM: Final = "Ed25519"
_FIELDS: Final = frozenset({"format", "records", "digest", "signature"})
_NAMES: Final = {"event": "number", "metric": "metric"}  # what tells records of one kind apart


class Signer(Protocol):
    """A key of the site. `public_key` is hex."""

    public_key: str

    def sign(self, digest: str) -> str: ...


@dataclass(frozen=True, slots=True)
class PackLook:
    """What was found in a pack: its last digest, whose key signed it (hex), and a sentence for each fault."""

    digest: str
    records: int
    public_key: str | None
    faults: tuple[str, ...]


def sealed(
    records: Iterable[tuple[str, Mapping[str, Any]]], made_at: datetime, signer: Signer | None
) -> dict[str, Any]:
    """The pack as a JSON value. Its last record says when it was made and by which key, so that neither can go."""
    signed_by = None if signer is None else fingerprint(signer.public_key)
    export = {"made_at": made_at.isoformat(timespec="milliseconds"), "signed_by": signed_by}
    chain = chained([*records, (EXPORT, export)])
    digest = chain[-1]["digest"]
    signature = None
    if signer is not None:
        value = signer.sign(digest)
        signature = {"algorithm": ALGORITHM, "public_key": signer.public_key, "value": value}
    return {"format": FORMAT, "records": chain, "digest": digest, "signature": signature}


def read_pack(text: str | bytes) -> Any:
    """The JSON value of a file. Raises ValueError for what is no JSON, or holds a name twice or a number that JSON
    does not have: two readers could read two things.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def look_at(document: object) -> PackLook:
    """Compute the chain again, whatever JSON the document is."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return PackLook("", 0, None, (f"this is no pack of the format {FORMAT}",))
    records, signature = document.get("records"), document.get("signature")
    if document.keys() != _FIELDS or not isinstance(records, list) or not isinstance(document["digest"], str):
        return PackLook("", 0, None, ("the pack has other parts than records, a digest and a signature",))
    faults = [*_broken(records)]
    if not faults:
        faults = [*_badly_closed(records, document["digest"]), *_badly_signed(document, records)]
    key = signature["public_key"] if isinstance(signature, dict) and not faults else None
    return PackLook(document["digest"], len(records), key, tuple(faults))


def _broken(records: list[Any]) -> Iterator[str]:
    for fault in chain_faults(records):
        yield f"record {fault.record}{_called(records[fault.record - 1])} {fault.problem}"


def _called(record: object) -> str:
    """What a record is called, as far as it says so itself."""
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return ""
    kind, content = record["kind"], record.get("content")
    name = content.get(_NAMES[kind]) if kind in _NAMES and isinstance(content, dict) else None
    return f" ({kind})" if name is None else f" ({kind} {name})"


def _badly_closed(records: list[Any], digest: str) -> Iterator[str]:
    if not records or records[-1]["kind"] != EXPORT:
        yield "records at its end were taken out or added: a pack ends with the record of its export"
    elif records[-1]["digest"] != digest:
        yield "the last record is not the one that the pack's digest names"


def _badly_signed(document: Mapping[str, Any], records: list[Any]) -> Iterator[str]:
    signature = document["signature"]
    declared = records[-1]["content"].get("signed_by") if records else None
    if signature is None:
        if declared is not None:
            yield f"the signature of {declared} was taken away"
        return
    if not isinstance(signature, dict) or signature.keys() != {"algorithm", "public_key", "value"}:
        yield "the signature was changed"
        return
    key, value = signature["public_key"], signature["value"]
    fits = isinstance(key, str) and isinstance(value, str) and signature["algorithm"] == ALGORITHM
    if not fits or not is_signed(key, document["digest"], value):
        yield "the signature does not fit: it, or all that it vouches for, was changed"
    elif fingerprint(key) != declared:
        yield "the pack was signed by another key than its record of the export names"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object holds a name twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
