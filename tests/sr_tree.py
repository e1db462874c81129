"""Walks a report row by row against TID 1500 (PS3.16), which neither `dciodvfy` nor `dsrdump` does.

Reads with plain pydicom, so that it shares nothing with what writes. `deviations` returns sentences; a
correct report has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import UID

MODIFIER, OBSERVATION = "HAS CONCEPT MOD", "HAS OBS CONTEXT"
ACQUISITION, CONTAINS, SELECTED = "HAS ACQ CONTEXT", "CONTAINS", "SELECTED FROM"


@dataclass(frozen=True)
class Row:
    """One row of a template. `concept` is (code, scheme), None for any; `often` is 1, ?, * or +."""

    relation: str
    value_type: str
    concept: tuple[str, str] | None
    often: str = "1"
    below: tuple[Row, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.relation} {self.value_type} {self.concept or 'any concept'}"


def dcm(code: str) -> tuple[str, str]:
    return code, "DCM"


def sct(code: str) -> tuple[str, str]:
    return code, "SCT"


DEVICE_OBSERVER = (  # TID 1002, 1004
    Row(OBSERVATION, "CODE", dcm("121005")),
    Row(OBSERVATION, "UIDREF", dcm("121012")),
    Row(OBSERVATION, "TEXT", dcm("121013"), "?"),
    Row(OBSERVATION, "TEXT", dcm("121014"), "?"),
    Row(OBSERVATION, "TEXT", dcm("121015"), "?"),
    Row(OBSERVATION, "TEXT", dcm("121016"), "?"),
)
ALGORITHM = (  # TID 4019
    Row(MODIFIER, "TEXT", dcm("111001")),
    Row(MODIFIER, "TEXT", dcm("111003")),
    Row(MODIFIER, "TEXT", dcm("122405"), "?"),
    Row(MODIFIER, "TEXT", dcm("111002"), "*"),
    Row(MODIFIER, "CODE", dcm("111000"), "?"),
)
SITE = Row(MODIFIER, "CODE", sct("363698007"), "*", (Row(MODIFIER, "CODE", sct("272741003"), "?"),))
TRACKED = (
    Row(OBSERVATION, "TEXT", dcm("112039")),
    Row(OBSERVATION, "UIDREF", dcm("112040")),
    Row(CONTAINS, "CODE", sct("276214006"), "?"),
    Row(CONTAINS, "CODE", dcm("121071"), "?"),
    SITE,
    *ALGORITHM,
)
SAID = (
    Row(CONTAINS, "NUM", None, "*", (SITE,)),  # TID 300
    Row(CONTAINS, "CODE", None, "*"),  # qualitative evaluations
)
GROUP = (  # TID 1501
    *TRACKED,
    *SAID,
    Row(CONTAINS, "IMAGE", dcm("121112"), "*"),
    Row(CONTAINS, "TEXT", dcm("121106"), "*"),
)
PLANAR_GROUP = (  # TID 1410
    *TRACKED,
    *SAID,
    Row(CONTAINS, "SCOORD", dcm("111030"), "1", (Row(SELECTED, "IMAGE", None),)),
)
LIBRARY_GROUP = (  # TID 1600, 1602
    Row(ACQUISITION, "CODE", dcm("121139")),
    Row(ACQUISITION, "UIDREF", dcm("112227"), "?"),
    Row(ACQUISITION, "NUM", dcm("110910"), "?"),
    Row(ACQUISITION, "NUM", dcm("110911"), "?"),
    Row(CONTAINS, "IMAGE", None, "+"),
)
REPORT = (  # TID 1500
    Row(MODIFIER, "CODE", dcm("121049")),
    *DEVICE_OBSERVER,
    Row(MODIFIER, "CODE", dcm("121058"), "+"),
    Row(
        CONTAINS,
        "CONTAINER",
        dcm("111028"),
        "?",
        (Row(CONTAINS, "CONTAINER", dcm("126200"), "+", LIBRARY_GROUP),),
    ),
    Row(CONTAINS, "CONTAINER", dcm("126010"), "1", (Row(CONTAINS, "CONTAINER", dcm("125007"), "+"),)),
)


def deviations(document: Dataset) -> list[str]:
    """Where the report leaves the template or contradicts itself; empty for a correct one."""
    return [
        *_root(document),
        *_rows(document, REPORT, "report"),
        *_groups(document),
        *_values(document, "report"),
        *_references(document),
    ]


def _root(document: Dataset) -> Iterator[str]:
    if document.ValueType != "CONTAINER" or _concept(document) != dcm("126000"):
        yield "report: the root is not an Imaging Measurement Report"
    template = document.get("ContentTemplateSequence", [])
    if [(t.TemplateIdentifier, t.MappingResource) for t in template] != [("1500", "DCMR")]:
        yield "report: the root does not name TID 1500"


def _groups(document: Dataset) -> Iterator[str]:
    for container in _children(document, dcm("126010")):
        for number, group in enumerate(_children(container, dcm("125007")), 1):
            planar = any(item.ValueType == "SCOORD" for item in group.ContentSequence)
            yield from _rows(group, PLANAR_GROUP if planar else GROUP, f"group {number}")


def _rows(parent: Dataset, rows: Sequence[Row], where: str) -> Iterator[str]:
    """Each item must match the row in hand or a later one; a row that must occur may not be passed."""
    at, seen = 0, 0
    for item in parent.get("ContentSequence", []):
        while at < len(rows) and not (_matches(item, rows[at]) and (seen == 0 or rows[at].often in "*+")):
            yield from _missing(rows[at], seen, where)
            at, seen = at + 1, 0
        if at == len(rows):
            yield f"{where}: {_said(item)} is not a row here, or not at this place"
            return
        if rows[at].below:
            yield from _rows(item, rows[at].below, f"{where} > {_said(item)}")
        seen += 1
    for row in rows[at:]:
        yield from _missing(row, seen, where)
        seen = 0


def _missing(row: Row, seen: int, where: str) -> Iterator[str]:
    if seen == 0 and row.often in "1+":
        yield f"{where}: {row} is missing"


def _matches(item: Dataset, row: Row) -> bool:
    kind = (item.get("RelationshipType"), item.get("ValueType"))
    return kind == (row.relation, row.value_type) and row.concept in (None, _concept(item))


def _values(parent: Dataset, where: str) -> Iterator[str]:
    for item in parent.get("ContentSequence", []):
        yield from _value(item, f"{where} > {_said(item)}")
        yield from _values(item, f"{where} > {_said(item)}")


def _value(item: Dataset, where: str) -> Iterator[str]:
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        if measured.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator != "UCUM":
            yield f"{where}: the unit is not of UCUM"
    if item.ValueType == "UIDREF" and not UID(item.UID).is_valid:
        yield f"{where}: not a UID"
    if item.ValueType == "SCOORD" and list(item.GraphicData[:2]) != list(item.GraphicData[-2:]):
        yield f"{where}: the outline is open"


def _references(document: Dataset) -> Iterator[str]:
    evidence = {
        instance.ReferencedSOPInstanceUID
        for study in document.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    for item in _all(document):
        if item.ValueType != "IMAGE":
            continue
        if item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID not in evidence:
            yield f"{_said(item)}: the image is not in the evidence"


def _all(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", []):
        yield item
        yield from _all(item)


def _children(parent: Dataset, concept: tuple[str, str]) -> list[Dataset]:
    return [item for item in parent.get("ContentSequence", []) if _concept(item) == concept]


def _concept(item: Dataset) -> tuple[str, str] | None:
    names = item.get("ConceptNameCodeSequence", [])
    return (names[0].CodeValue, names[0].CodingSchemeDesignator) if names else None


def _said(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence", [])
    return f"{item.get('ValueType')} {names[0].CodeMeaning if names else ''}".strip()
