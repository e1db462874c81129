"""The coded region of an enhanced image (PS3.16 CID 4031) as the term of Body Part Examined for it (Annex L)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydicom.dataset import Dataset

from imaging.elements import text

OTHER: Final = "OTHER"
_TERMS: Final[Mapping[str, str]] = {  # in SNOMED CT, and in the codes that it replaced
    "69536005": "HEAD", "T-D1100": "HEAD", "774007": "HEADNECK", "T-D1000": "HEADNECK",
    "12738006": "BRAIN", "T-A0100": "BRAIN", "89546000": "SKULL", "T-11100": "SKULL",
    "45048000": "NECK", "T-D1600": "NECK", "51185008": "CHEST", "816094009": "CHEST", "T-D3000": "CHEST",
    "39607008": "LUNG", "T-28000": "LUNG", "80891009": "HEART", "T-32000": "HEART",
    "818981001": "ABDOMEN", "113345001": "ABDOMEN", "T-D4000": "ABDOMEN",
    "816092008": "PELVIS", "12921003": "PELVIS", "T-D6000": "PELVIS",
    "818982008": "ABDOMENPELVIS", "416949008": "ABDOMENPELVIS", "R-FAB57": "ABDOMENPELVIS",
    "416775004": "CHESTABDPELVIS", "R-FAB56": "CHESTABDPELVIS",
    "416550000": "CHESTABDOMEN", "R-FAB55": "CHESTABDOMEN",
    "122494005": "CSPINE", "T-11501": "CSPINE", "122495006": "TSPINE", "T-11502": "TSPINE",
    "122496007": "LSPINE", "T-11503": "LSPINE", "421060004": "SPINE",
    "72696002": "KNEE", "T-D9200": "KNEE", "16982005": "SHOULDER", "T-D2220": "SHOULDER",
    "29836001": "HIP", "T-D2500": "HIP", "76752008": "BREAST", "T-04000": "BREAST",
    "41216001": "PROSTATE", "T-92000": "PROSTATE", "10200004": "LIVER", "T-62000": "LIVER",
    "38266002": "WHOLEBODY", "T-D0010": "WHOLEBODY",
}  # fmt: skip


def body_part_of(image: Dataset) -> str:
    """Blank where no region is coded, OTHER where it is one without a term here."""
    if "AnatomicRegionSequence" not in image or not len(image.AnatomicRegionSequence):
        return ""
    return _TERMS.get(text(image.AnatomicRegionSequence[0], "CodeValue"), OTHER)
