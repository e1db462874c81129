"""What a real Orthanc holds, asked through its own interfaces and not through the code under test."""

from __future__ import annotations

import re
from io import BytesIO

import pydicom

from tests.orthanc import Orthanc

SOP_INSTANCE_UID = "00080018"


def reports_in(pacs: Orthanc, study_uid: str) -> list[str]:
    """SOP Instance UIDs of the structured reports in a study, by QIDO-RS."""
    with pacs.client() as client:
        answer = client.get(f"/dicom-web/studies/{study_uid}/instances", params={"Modality": "SR"})
        answer.raise_for_status()
        return [item[SOP_INSTANCE_UID]["Value"][0] for item in (answer.json() if answer.content else [])]


def instance_in(pacs: Orthanc, instance_uid: str) -> bytes:
    """A stored instance as a Part 10 file."""
    with pacs.client() as client:
        (found,) = client.post("/tools/lookup", content=instance_uid).json()
        return client.get(f"/instances/{found['ID']}/file").content


def versions_reported(pacs: Orthanc, study_uid: str) -> set[str]:
    """The model versions whose reports lie in a study, as each report's series describes it."""
    descriptions = [
        str(pydicom.dcmread(BytesIO(instance_in(pacs, uid))).SeriesDescription)
        for uid in reports_in(pacs, study_uid)
    ]
    return {re.search(r": \S+ (\S+) \(unverified\)", text)[1] for text in descriptions}  # type: ignore[index]
