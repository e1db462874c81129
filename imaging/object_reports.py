"""Reports in a bucket: at `<prefix>/<StudyInstanceUID>/<SOPInstanceUID>.dcm`, whole or not at all, as S3 writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from core.errors import (
    ReportRefused,
    ReportRejected,
    SerinusError,
    SourceTimeout,
    SourceUnavailable,
)
from imaging.encoded import EncodedInstance
from imaging.object_location import Location

_IN_VAIN: Final = frozenset(
    {"EntityTooLarge", "InvalidArgument", "InvalidRequest", "KeyTooLongError", "MethodNotAllowed"}
)
_BUSY: Final = frozenset({"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException"})


@dataclass(frozen=True, slots=True)
class BucketReports:
    """Writes reports below `prefix`. Writing one again changes nothing: its UID is that of its content."""

    client: Any  # of boto3
    prefix: Location

    def put(self, report: EncodedInstance) -> None:
        """Raises SourceUnavailable or SourceTimeout (the store is away), ReportRejected (somebody has to mend bucket
        or credentials), ReportRefused (it never will take this).
        """
        key = f"{self.prefix.key}{report.study_uid}/{report.instance_uid}.dcm"
        try:
            self.client.put_object(
                Bucket=self.prefix.bucket, Key=key, Body=report.content, ContentType="application/dicom"
            )
        except ClientError as error:
            raise _answered(error.response) from None
        except (ConnectTimeoutError, ReadTimeoutError):
            raise SourceTimeout("the object store did not take the report in time") from None
        except BotoCoreError:
            raise SourceUnavailable("the object store cannot be reached, or broke off") from None


def _answered(response: Mapping[str, Any]) -> SerinusError:
    """In our own words: botocore's texts hold keys, and those UIDs."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    code = str(response.get("Error", {}).get("Code", ""))
    said = code if code.isalnum() and code.isascii() else f"status {status}"
    if status >= 500 or status == 429 or code in _BUSY:
        return SourceUnavailable(f"the object store answered {said}")
    kind = ReportRefused if code in _IN_VAIN else ReportRejected
    return kind(f"the object store did not take the report: {said}")
