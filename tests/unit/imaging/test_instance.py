from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from core.errors import StudyError
from imaging.evidence import encode_evidence
from imaging.instance import parse_instance
from imaging.pydicom_config import configure_pydicom
from tests.ct import STUDY, ct_slice, encoded

WHOLE = encoded(ct_slice(0))


def same(name_or_bytes: bytes) -> bool:
    ours, theirs = parse_instance(name_or_bytes), pydicom.dcmread(BytesIO(name_or_bytes))
    return ours == theirs and ours.file_meta == theirs.file_meta


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "693_J2KR.dcm",
    ],
)
def test_what_we_parse_is_what_pydicom_parses(name: str) -> None:
    assert same(Path(str(get_testdata_file(name))).read_bytes())


@pytest.mark.parametrize("undefined_length", [True, False])
def test_sequences_of_either_length_are_read(undefined_length: bool) -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", "Schädel"
    image = ct_slice(0, SpecificCharacterSet="ISO_IR 192", PatientName="Ünal^Ö", ProcedureCodeSequence=[item])
    image["ProcedureCodeSequence"].is_undefined_length = undefined_length
    parsed = parse_instance(encoded(image))
    assert parsed.PatientName == "Ünal^Ö"
    assert parsed.ProcedureCodeSequence[0].CodeMeaning == "Schädel"


def refused_text(part: bytes) -> str:
    """What the refusal says; empty when the object could be parsed. Any other error escapes."""
    try:
        parse_instance(part)
    except StudyError as error:
        return str(error)
    return ""


@given(at=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_object_is_parsed_or_refused_and_nothing_else(at: int, value: int) -> None:
    assert "CANARY" not in refused_text(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])


@given(length=st.integers(0, len(WHOLE)))
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_a_truncated_object_is_parsed_or_refused_and_nothing_else(length: int) -> None:
    assert "CANARY" not in refused_text(WHOLE[:length])


def test_pydicom_repeats_no_tag_value_in_a_log_or_a_warning(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    configure_pydicom()
    part = encoded(ct_slice(0, AccessionNumber="S" * 16)).replace(b"S" * 16, b"SECRET_" + b"9" * 9)
    image = parse_instance(part.replace(STUDY.encode(), b"SECRET" + b"." * (len(STUDY) - 6)))
    assert str(image.StudyInstanceUID).startswith("SECRET")  # this very access warns in pydicom by default
    assert "SECRET" not in caplog.text + "".join(str(warning.message) for warning in recwarn)


def test_a_dataset_without_a_character_set_is_written_without_being_decoded() -> None:
    """pydicom decodes and encodes every element when it takes the character set for a changed one."""
    dataset = parse_instance(encoded(ct_slice()))
    assert "SpecificCharacterSet" not in dataset
    evidence = encode_evidence(dataset)
    assert all(isinstance(dataset.get_item(tag), RawDataElement) for tag in (0x00280030, 0x00200032))
    assert pydicom.dcmread(BytesIO(evidence)).ImagePositionPatient == [-10, -20, 0]
