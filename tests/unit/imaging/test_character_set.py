"""Every report can be read: its character set holds all that it says, whatever its source declares."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset

from imaging.character_set import UTF8, Terms, holds, is_valid, read, spelt
from imaging.encoded import to_part10
from imaging.patient_facts import patient_facts
from imaging.pydicom_config import configure_pydicom
from imaging.report_sr import FormerReport, ReportContext, says_the_same, to_sr
from imaging.segmentation import to_seg
from tests.character_sets import SOURCES, Source, as_in_a_file, header_of, volume_of
from tests.reports import CREATED, STAMP, classification, prediction, segmentation, source
from tests.sr_tree import deviations

MUENSTER = replace(STAMP, manufacturer="University of Münster")
MAKERS = {True: (STAMP, MUENSTER), False: (STAMP,)}
SETS: tuple[Terms, ...] = (
    (), ("ISO_IR 13",), ("ISO_IR 100",), ("ISO_IR 101",), ("ISO_IR 126",), ("ISO_IR 144",), ("GB18030",), UTF8,
    ("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 149"), ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"),
    ("", "ISO 2022 IR 100", "ISO 2022 IR 126"), ("ISO 2022 IR 100", "ISO 2022 IR 144"),
)  # fmt: skip
odd = pytest.mark.filterwarnings("ignore")


def stored(document: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(to_part10(document)))


def terms_of(document: Dataset) -> Terms:
    value = document.get("SpecificCharacterSet") or ()
    return (value,) if isinstance(value, str) else tuple(value)


def as_terms(said: Source) -> Terms:
    return (said.terms,) if isinstance(said.terms, str) else tuple(said.terms or ())


CASES = {
    f"{name}, {stamp.manufacturer}": (said, stamp)
    for name, said in SOURCES.items()
    for stamp in MAKERS[said.kept]
}


@odd
@pytest.mark.parametrize(("said", "stamp"), CASES.values(), ids=CASES.keys())
def test_a_report_says_the_patient_s_name_in_a_set_that_holds_it(said: Source, stamp) -> None:
    volume = volume_of(said)
    context = ReportContext.of(volume)
    measured = segmentation(volume, stamp=stamp)
    for document in (
        stored(to_sr(measured, context, created=CREATED)),
        stored(to_seg(measured, context, volume.geometry, created=CREATED)),
    ):
        assert str(document.PatientName) == said.says
        assert document.StudyDescription == said.says
        assert document.ProcedureCodeSequence[0].CodeMeaning == said.says
        equipment = {item.Manufacturer for item in document.ContributingEquipmentSequence}
        assert {stamp.manufacturer, said.says} & equipment
        expected = as_terms(said) if said.kept and (stamp is STAMP or holds(as_terms(said), "ü")) else UTF8
        assert terms_of(document) == expected
        every_text_is_of(document, expected)


def every_text_is_of(document: Dataset, terms: Terms) -> None:
    """Read strictly, and not by what is tested: each value as a file holds it decodes in the declared set."""
    codecs = convert_encodings(list(terms))
    for element in Dataset({tag: document.get_item(tag) for tag in document.keys()}).elements():  # noqa: SIM118
        if element.is_raw and element.VR in ("LO", "SH", "PN", "ST", "LT") and len(codecs) == 1:
            element.value.decode("ascii" if not terms else codecs[0])


def test_a_report_of_ascii_names_no_set_where_its_source_names_none() -> None:
    volume = volume_of(Source(None, b"Anna", "Anna"))
    document = to_sr(classification(volume), ReportContext.of(volume), created=CREATED)
    assert "SpecificCharacterSet" not in document


def test_a_maker_s_name_alone_makes_a_report_unicode() -> None:
    volume = source(slices=3)
    document = stored(
        to_sr(classification(volume, stamp=MUENSTER), ReportContext.of(volume), created=CREATED)
    )
    assert terms_of(document) == UTF8
    assert MUENSTER.manufacturer in {item.Manufacturer for item in document.ContributingEquipmentSequence}
    assert deviations(document) == []


@odd
@pytest.mark.parametrize("name", ["latin-1", "japanese", "korean", "no set, latin-1"])
def test_a_retry_in_any_set_gives_the_same_bytes_and_says_the_same(name: str) -> None:
    volume = volume_of(SOURCES[name])
    found, context = classification(volume, stamp=MUENSTER), ReportContext.of(volume)
    first, again = (to_part10(to_sr(found, context, created=CREATED)) for _ in range(2))
    assert first == again
    assert says_the_same(FormerReport.of(first), found, context)


@odd
def test_a_code_string_that_is_not_ascii_loses_only_what_it_must_not_hold() -> None:
    volume = source(slices=3)
    header = header_of(SOURCES["latin-1"], volume, PatientSex=as_in_a_file("PatientSex", "CS", b"\xc4"))
    document = stored(to_sr(prediction(volume), ReportContext.of_instances([header]), created=CREATED))
    assert (document.PatientSex, document.PatientName) == ("?", "Müller^Jörg")


@odd
def test_a_patient_is_the_same_one_in_whatever_set_his_number_is_written() -> None:
    numbers = {
        "ISO_IR 100": "Nº7".encode("latin-1"),
        "ISO_IR 192": "Nº7".encode(),
        None: "Nº7".encode("latin-1"),
    }
    volume = source(slices=3)
    for terms, number in numbers.items():
        header = header_of(
            Source(terms, b"A", "A"), volume, PatientID=as_in_a_file("PatientID", "LO", number)
        )
        assert patient_facts([header], volume).patient_id == "Nº7"


# ---- the sets themselves


@given(
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\^="), min_size=1, max_size=8)
)
def test_what_a_set_holds_is_read_again_as_it_was_written(text: str) -> None:
    configure_pydicom()
    for terms in SETS:
        if not holds(terms, text):
            continue
        dataset = Dataset()
        dataset.SpecificCharacterSet = list(terms) or None
        dataset.PatientComments = text
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.SOPInstanceUID = "1.2.3"
        raw = stored(dataset)
        value = raw.get_item("PatientComments").value
        assert read(value.rstrip(b" "), terms) == (text, True)
        assert raw.PatientComments == text


@given(st.binary(max_size=12), st.sampled_from([*SETS, ("KLINGON",), ("ISO_IR 100", "ISO_IR 192")]))
def test_whatever_the_bytes_are_something_comes_that_utf_8_holds(value: bytes, terms: Terms) -> None:
    text, is_of_the_set = read(value, terms)
    assert holds(UTF8, text) or text.isascii()
    assert not is_of_the_set or is_valid(terms) or text.isascii() or terms[-1] not in SETS


@pytest.mark.parametrize("terms", SETS)
def test_the_sets_of_the_standard_are_valid(terms: Terms) -> None:
    assert is_valid(terms)


@pytest.mark.parametrize(
    "terms",
    [
        ("KLINGON",), ("ISO 2022 IR 87",), ("ISO_IR 100", "ISO 2022 IR 87"), ("ISO_IR 192", "ISO 2022 IR 87"),
        ("", "GBK"), ("", "ISO 2022 IR 58"),
    ],
)  # fmt: skip
def test_no_report_takes_a_set_that_is_none(terms: Terms) -> None:
    assert not is_valid(terms)
    assert not holds(terms, "ü")
    assert holds(terms, "ASCII")


@pytest.mark.parametrize(
    ("term", "right"),
    [
        ("ISO-IR 100", "ISO_IR 100"),
        ("iso ir 192", "ISO_IR 192"),
        ("ISO_2022_IR_87", "ISO 2022 IR 87"),
        ("x", "x"),
    ],
)
def test_a_misspelt_set_is_understood(term: str, right: str) -> None:
    assert spelt(term) == right
