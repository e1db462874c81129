"""How far the audit was verified, outside of its table: a tail that is cut off, or a chain written anew, is found.

The anchor is a small file under a key of the site. What comes after it is verified at each look, so that a look costs
what was written since; a full look verifies every row, and finds one that was changed before the anchor.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.atomic_write import atomic_write
from ledger.audit import START, Audit, AuditHead

logger = logging.getLogger("serinus.audit")
ANCHORED: Final = "audit-anchored"
DOMAIN: Final = b"serinus audit anchor"  # the site's key has other uses
ACCEPT: Final = "`serinus anchor-audit REASON` begins anew, and says so in the audit"
LOST: Final = f"the anchor of the audit is gone, so rows may have been cut off; {ACCEPT}"
FORGED: Final = f"the anchor of the audit was not written by this site; {ACCEPT}"


class ForeignAnchor(ValueError):
    """The anchor's code does not fit what it says."""


@dataclass(frozen=True, slots=True)
class AuditLook:
    """Up to which row the audit is whole, the first row that is not, and in a sentence what is wrong."""

    verified_to: int
    first_broken: int | None = None
    problem: str | None = None


class AuditAnchor:
    """`key` is any secret of the site; whoever has it and the database can forge both."""

    def __init__(self, audit: Audit, file: Path, key: bytes) -> None:
        self._audit = audit
        self._file = file
        self._key = hmac.digest(key, DOMAIN, "sha256")

    def look(self, *, full: bool = False) -> AuditLook:
        """Verify from the anchor on, or with `full` from the first row. Writes nothing. Raises LedgerUnavailable."""
        try:
            anchor = self._load()
        except ForeignAnchor:
            return self._all(FORGED)
        if anchor is None:
            return self._all(LOST if self._audit.has(ANCHORED) else None)
        since = self._audit.verify(anchor)
        if since.first_broken is not None:
            return AuditLook(since.head.sequence, since.first_broken, _told(since.first_broken, anchor))
        return self._all(None) if full else AuditLook(since.head.sequence)

    def keep(self, *, full: bool = False) -> AuditLook:
        """Look, and if all is whole move the anchor to the newest row."""
        look = self.look(full=full)
        if look.problem is None and look.verified_to:
            if self._load() is None:
                self.renew("serinus", "the first anchor")
            else:
                self._save(self._audit.verify(self._load() or START).head)
        return look

    def renew(self, actor: str, reason: str) -> AuditLook:
        """Anchor at the newest row, whatever is wrong before it; the audit tells of it."""
        look = self.look(full=True)
        detail = {"reason": reason, "first_broken": look.first_broken, "problem": look.problem}
        row = self._audit.append(actor, ANCHORED, "audit", detail)
        self._save(AuditHead(row.sequence, row.digest))
        return look

    def _all(self, problem: str | None) -> AuditLook:
        found = self._audit.verify()
        broken = None if found.first_broken is None else _told(found.first_broken, START)
        return AuditLook(found.head.sequence, found.first_broken, problem or broken)

    def _load(self) -> AuditHead | None:
        """None where there is no anchor. Raises ForeignAnchor."""
        try:
            read = json.loads(self._file.read_bytes())
            head = AuditHead(int(read["sequence"]), str(read["digest"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise ForeignAnchor from None
        if not hmac.compare_digest(str(read.get("code")), self._code(head)):
            raise ForeignAnchor
        return head

    def _save(self, head: AuditHead) -> None:
        """In the log, too, which a site may keep elsewhere."""
        before = self._file.read_bytes() if self._file.exists() else b""
        body = {"sequence": head.sequence, "digest": head.digest, "code": self._code(head)}
        content = json.dumps(body).encode()
        if content != before:
            atomic_write(self._file, content)
            logger.info("audit.anchored", extra={"sequence": head.sequence, "digest": head.digest})

    def _code(self, head: AuditHead) -> str:
        return hmac.new(self._key, f"{head.sequence} {head.digest}".encode(), hashlib.sha256).hexdigest()


def _told(broken: int, anchor: AuditHead) -> str:
    if anchor.sequence and broken == anchor.sequence:
        return f"row {broken} of the audit was verified before and is missing or another: rows were cut or rewritten"
    return f"row {broken} of the audit was changed or taken out"
