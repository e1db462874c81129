"""What a finished job must still bring where: decided purely, kept in the ledger's outbox."""

from __future__ import annotations

from collections.abc import Mapping

from ledger import CALLBACK as CALLBACK
from ledger import NOTICE as NOTICE
from ledger import ClaimedDelivery, Delivery, Job, callback_of_result
from serve_apps.application.analyse_study import Analysis
from serve_apps.settings import SourceSettings

STOW = "stow"


def deliveries_for(job: Job, source: SourceSettings, analysis: Analysis) -> tuple[Delivery, ...]:
    """The DICOM objects back to the source they came from, and the caller's callback."""
    return (*to_store(source, analysis.documents), *callback_of_result(job, analysis.result.to_json()))


def to_store(source: SourceSettings, documents: Mapping[str, bytes]) -> tuple[Delivery, ...]:
    """The DICOM objects of a study to the source that it came from."""
    return tuple(Delivery(kind=STOW, destination=source.id, document=kind) for kind in documents)


def message_id(delivery: ClaimedDelivery) -> str:
    """By which a receiver knows a message that comes a second time: its own id, where it has one."""
    own = (delivery.payload or {}).get("id") if delivery.kind == NOTICE else None
    return own if isinstance(own, str) else delivery.id
