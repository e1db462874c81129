"""The coded words of our reports, in one place; each standard one as the named context group spells it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SrCode

from imaging.finding import Code, InputVerdict, Presence, Urgency
from imaging.uids import derived_uid

PRIVATE_SCHEME: Final = "99SERINUS"

CERTAINTY: Final = SrCode("111012", "DCM", "Certainty of Finding")
PRESENCE: Final = SrCode("121052", "DCM", "Presence of property")
URGENCY: Final = SrCode("103391001", "SCT", "Urgency")
SUMMARY: Final = SrCode("111017", "DCM", "CAD Processing and Findings Summary")
COMMENT: Final = SrCode("121106", "DCM", "Comment")
PROCESSING_EQUIPMENT: Final = SrCode("109102", "DCM", "Processing Equipment")
PERCENT: Final = SrCode("%", "UCUM", "Percent")

# PS3.16 CID 6047; "not run" and "negative" must never look alike
WITH_FINDINGS: Final = SrCode("111242", "DCM", "All algorithms succeeded; with findings")
WITHOUT_FINDINGS: Final = SrCode("111241", "DCM", "All algorithms succeeded; without findings")
NOTHING_SUCCEEDED: Final = SrCode("111245", "DCM", "No algorithms succeeded; without findings")

# the standard has no code for a 0-100 worklist score, nor for who has not looked at a result yet
PRIORITY_SCORE: Final = SrCode("PRIORITY", PRIVATE_SCHEME, "Worklist priority score")
SCORE_UNIT: Final = SrCode("{score}", "UCUM", "score")
RESULT_STATUS: Final = SrCode("STATUS", PRIVATE_SCHEME, "Status of an algorithm's result")
UNREVIEWED: Final = SrCode("UNREVIEWED", PRIVATE_SCHEME, "Not reviewed by a physician")
RESEARCH_ONLY: Final = SrCode("RESEARCH", PRIVATE_SCHEME, "Research only, not for clinical use")

INPUT_CHECK: Final = SrCode(
    "INPUT-CHECK", PRIVATE_SCHEME, "Input compared with the algorithm's reference set"
)
INPUT_CHECK_VALUES: Final = MappingProxyType(
    {
        InputVerdict.TYPICAL: SrCode("TYPICAL", PRIVATE_SCHEME, "Like the reference set"),
        InputVerdict.FOREIGN: SrCode("FOREIGN", PRIVATE_SCHEME, "Unlike the reference set"),
        InputVerdict.UNCHECKED: SrCode("UNCHECKED", PRIVATE_SCHEME, "Not compared: no reference set"),
    }
)

PRESENCE_VALUES: Final = MappingProxyType(
    {
        Presence.PRESENT: SrCode("121053", "DCM", "Present"),
        Presence.ABSENT: SrCode("121054", "DCM", "Absent"),
        Presence.INDETERMINATE: SrCode("121059", "DCM", "Presence Undetermined"),
    }
)

URGENCY_VALUES: Final = MappingProxyType(  # PS3.16 CID 7035; no urgency has no code
    {
        Urgency.CRITICAL: SrCode("RID49480", "RADLEX", "ACR Category 1 Actionable Finding"),
        Urgency.URGENT: SrCode("RID49481", "RADLEX", "ACR Category 2 Actionable Finding"),
        Urgency.NONCRITICAL: SrCode("RID49482", "RADLEX", "ACR Category 3 Actionable Finding"),
    }
)

_IMAGING: Final = SrCode("363679005", "SCT", "Imaging procedure")
_FILM: Final = SrCode("43468-8", "LN", "XR unspecified body region")
_PROCEDURES: Final = MappingProxyType(  # PS3.16 CID 100
    {
        "CT": SrCode("25045-6", "LN", "CT unspecified body region"),
        "MR": SrCode("25056-3", "LN", "MRI unspecified body region"),
        "PT": SrCode("44136-0", "LN", "PET unspecified body region"),
        "NM": SrCode("49118-3", "LN", "NM unspecified body region"),
        "CR": _FILM,
        "DX": _FILM,
    }
)

_OTHER: Final = SrCode("OT", "DCM", "Other")
_ACQUISITIONS: Final = MappingProxyType(  # PS3.16 CID 29
    {
        "CT": SrCode("CT", "DCM", "Computed Tomography"),
        "MR": SrCode("MR", "DCM", "Magnetic Resonance"),
        "PT": SrCode("PT", "DCM", "Positron emission tomography"),
        "NM": SrCode("NM", "DCM", "Nuclear Medicine"),
        "CR": SrCode("CR", "DCM", "Computed Radiography"),
        "DX": SrCode("DX", "DCM", "Digital Radiography"),
    }
)


def acquisition(modality: str) -> SrCode:
    return _ACQUISITIONS.get(modality, _OTHER)


def procedure(modality: str) -> SrCode:
    """What was done to get the images, as exactly as a modality can say it."""
    return _PROCEDURES.get(modality, _IMAGING)


def sr_code(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme, code.meaning)


def private_scheme() -> Dataset:
    """The item that declares our designator (PS3.3 C.12.1.1.14)."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeUID = derived_uid("coding scheme", PRIVATE_SCHEME)
    item.CodingSchemeName = "Serinus local codes"
    item.CodingSchemeResponsibleOrganization = "Serinus"
    return item
