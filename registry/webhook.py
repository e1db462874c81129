"""Is this webhook really from our MLflow, and fresh? It only wakes the poller, so its body is not read further.

MLflow signs `id.timestamp.body` with HMAC-SHA256 and sends `X-MLflow-Signature: v1,<base64>`. Retries keep the id
and the timestamp of the first try, so the id serves to drop repeats.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

SIGNATURE_HEADER = "x-mlflow-signature"
DELIVERY_HEADER = "x-mlflow-delivery-id"
TIME_HEADER = "x-mlflow-timestamp"
TOLERANCE = timedelta(minutes=5)


def webhook_fault(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str | None:
    """Why the request is not to be believed, None when it is. Header names in lower case."""
    delivery, sent, signature = (headers.get(h, "") for h in (DELIVERY_HEADER, TIME_HEADER, SIGNATURE_HEADER))
    if not (delivery and sent and signature):
        return "the webhook is not signed"
    if not hmac.compare_digest(expected_signature(secret, delivery, sent, body).encode(), signature.encode()):
        return "the webhook's signature does not match"
    if (
        not sent.isascii()
        or not sent.isdigit()
        or abs(now.timestamp() - int(sent)) > TOLERANCE.total_seconds()
    ):
        return "the webhook is too old"
    return None


def expected_signature(secret: str, delivery: str, sent: str, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
