"""A document is filed under its own UIDs, and its bytes stay what they are."""

from __future__ import annotations

import pytest

from core.errors import ReportRejected
from imaging.dicomweb.stow import encode_multipart
from imaging.encoded import EncodedInstance, to_part10
from imaging.samples.synthetic import make_ct_study


def test_a_document_is_named_by_its_own_uids_and_stays_byte_for_byte() -> None:
    (dataset,) = make_ct_study("encoded", slices=1, size=8)
    content = to_part10(dataset)
    instance = EncodedInstance.of(content)
    assert (instance.study_uid, instance.instance_uid) == (dataset.StudyInstanceUID, dataset.SOPInstanceUID)
    assert instance.content is content
    assert content in encode_multipart([instance.content])[1]


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", bytes(200)])
def test_what_is_no_dicom_object_is_rejected_without_its_content(content: bytes) -> None:
    with pytest.raises(ReportRejected) as rejection:
        EncodedInstance.of(content)
    assert "DICOM object" in rejection.value.detail
    assert "1.2." not in repr(rejection.value)


def test_a_document_without_usable_uids_is_rejected() -> None:
    (dataset,) = make_ct_study("nameless", slices=1, size=8)
    dataset.StudyInstanceUID = ""
    with pytest.raises(ReportRejected, match="names no study"):
        EncodedInstance.of(to_part10(dataset))
