"""A Lambda function that S3 calls for each new object: it tells Serinus of the DICOM images among them.

trigger:       s3:ObjectCreated:* of the bucket, or an SQS queue between
environment:   TRIGGER_URL  https://serinus.example/v1/infer
               TRIGGER_KEY  an API key with the scope jobs:write
layer:         pydicom; boto3 is there. Timeout: 60 s, since Serinus answers with the study's result when it can.

A CT calls it once per slice, and S3 may call twice for one object: Serinus makes one job of a study, once nothing has
come for `stable_age_s`. Raises when Serinus does not take an object, so that Lambda tries again.
"""

from __future__ import annotations

import io
import json
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_plus

import boto3
import pydicom
from pydicom.errors import InvalidDicomError

HEADER_BYTES = 1 << 16
LONGEST_HEADER_BYTES = 1 << 24
TIMEOUT_S = 50
CALLS_AT_ONCE = 32
IMAGES = ("CT", "MR", "CR", "DX")


def handler(event: dict[str, Any], context: object = None) -> dict[str, int]:
    """Handle S3's notification; returns how many objects were told to Serinus, and how many are none of its."""
    records = [record["s3"] for record in event.get("Records", []) if "s3" in record]
    with ThreadPoolExecutor(
        CALLS_AT_ONCE
    ) as calls:  # one after the other, each would wait for the whole study
        told = list(calls.map(_handle, records))
    return {"told": sum(told), "passed_over": len(told) - sum(told)}


def _handle(record: dict[str, Any]) -> bool:
    bucket = record["bucket"]["name"]
    key = unquote_plus(record["object"]["key"])  # S3 encodes it as a form
    header = _header(bucket, key)
    if header is None or header.get("Modality") not in IMAGES:
        return False  # no DICOM, or a report, among them our own
    call = {
        "study_uid": str(header.StudyInstanceUID),
        "modality": str(header.Modality),
        "s3_uri": f"s3://{bucket}/{key}",
        "inference_type": "triage",
    }
    headers = {"Content-Type": "application/json", "X-API-Key": os.environ["TRIGGER_KEY"]}
    request = urllib.request.Request(os.environ["TRIGGER_URL"], json.dumps(call).encode(), headers)
    urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    return True


def _header(bucket: str, key: str) -> pydicom.Dataset | None:
    """The first elements of an object, by as few bytes as hold them; None for what is not DICOM."""
    s3 = boto3.client("s3", endpoint_url=os.environ.get("TRIGGER_S3"))
    size = HEADER_BYTES
    while True:
        body = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{size - 1}")["Body"].read()
        try:
            return pydicom.dcmread(
                io.BytesIO(body),
                stop_before_pixels=True,
                specific_tags=["StudyInstanceUID", "Modality"],
            )
        except InvalidDicomError:
            return None
        except Exception:  # cut in the middle of an element: pydicom raises what it likes
            if len(body) < size or size >= LONGEST_HEADER_BYTES:
                return None
            size *= 16
