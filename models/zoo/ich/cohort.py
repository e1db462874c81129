"""A cohort of head-CT phantoms as DICOM, with its truth: `python -m models.zoo.ich.cohort FOLDER --patients 400`.

One study per patient, of 12 slices 10 mm apart, so that a few hundred are soon drawn, stored and read. Thin and thick
slices come from two scanners by name, which is how routing and evidence tell them apart. A number is a patient: with
one mixture the same number gives the same bytes each time.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from imaging.samples.writer import SampleIdentity, SampleImage, SampleModality, study_uid, to_series
from imaging.volume import Geometry
from models.zoo.ich.anatomy import Head, draw_head
from models.zoo.ich.bleed import Bleed, BleedKind, draw_bleed
from models.zoo.ich.fields import PIXEL_MM, SIZE
from models.zoo.ich.phantom import METAL_HU, VISIBLE_MM2, Exposure, Labels, Mixture, expose
from models.zoo.ich.scanner import Scan, draw_scan

HEIGHTS_MM: Final = tuple(float(height) for height in range(-38, 73, 10))
MANUFACTURER: Final = "Phantom"
MODELS: Final = {False: "Thin CT", True: "Thick CT"}
THIN_SCANNER, THICK_SCANNER = (f"{MANUFACTURER} {MODELS[thick]}" for thick in (False, True))
SHARES: Final = Mixture(bleed=0.5, rim=0.5, thick=0.5)
TRUTH_FILE: Final = "truth.csv"
TRUTH_COLUMNS: Final = ("study_uid", "model", "finding", "label", "source", "reader", "read_at", "note")
MODEL, FINDING = "ich-triage", "1386000@SCT"
READ_AT: Final = "2026-01-02T12:00:00Z"  # the day after the study
ATTEMPTS: Final = 50
YOUNGEST, OLDEST = 20, 90


@dataclass(frozen=True, slots=True)
class CohortHead:
    """One patient: HU `(slices, rows, columns)` as int16, the scan, what is true, and which slices show it."""

    number: int
    hu: npt.NDArray[np.int16]
    thickness_mm: float
    age_years: int
    labels: Labels
    bleeding: npt.NDArray[np.bool_]

    @property
    def patient_id(self) -> str:
        return f"PHANTOM-{self.number:06d}"

    @property
    def scanner(self) -> str:
        """As routing knows it: manufacturer and model name."""
        return THICK_SCANNER if self.labels.thick else THIN_SCANNER


@dataclass(frozen=True, slots=True)
class CohortStudy:
    """What is known of a stored study; its files lie in `folder`."""

    study_uid: str
    patient_id: str
    scanner: str
    labels: Labels
    folder: Path


def cohort_head(number: int, shares: Mixture = SHARES) -> CohortHead:
    """Patient `number`, from 0. A bleed is drawn anew until a slice shows it, so that the truth can be seen."""
    rng = np.random.default_rng((number, 17))
    head = draw_head(rng, shares.metal)
    scan = draw_scan(rng, thick=bool(rng.random() < shares.thick))
    bleeds, rim = rng.random() < shares.bleed, rng.random() < shares.rim
    kind = (BleedKind.RIM if rim else BleedKind.INTRA_AXIAL) if bleeds else BleedKind.NONE
    age = int(rng.integers(YOUNGEST, OLDEST))
    shots = _visible(rng, head, scan, kind)
    areas = np.array([shot.bleed_mm2 for shot in shots])
    calcified = any(spot.density_hu < METAL_HU for spot in head.spots)
    metal = any(shot.metal for shot in shots)
    labels = Labels(kind, scan.thick, scan.noisy, calcified, metal, float(areas.max()))
    hu = np.rint(np.stack([shot.hu for shot in shots])).astype(np.int16)
    return CohortHead(number, hu, scan.thickness_mm, age, labels, areas >= VISIBLE_MM2)


def _visible(rng: np.random.Generator, head: Head, scan: Scan, kind: BleedKind) -> list[Exposure]:
    for _ in range(ATTEMPTS):
        bleed = _bleed(rng, head, kind)
        shots = [expose(rng, head, scan, height, bleed) for height in HEIGHTS_MM]
        if bleed is None or max(shot.bleed_mm2 for shot in shots) >= VISIBLE_MM2:
            return shots
    raise RuntimeError("no bleed that was drawn can be seen")


def _bleed(rng: np.random.Generator, head: Head, kind: BleedKind) -> Bleed | None:
    """A bleed that crosses one of the slices."""
    if kind is BleedKind.NONE:
        return None
    z = float(rng.choice([height for height in HEIGHTS_MM if -25 < height < 0.8 * head.top_mm]))
    return draw_bleed(rng, kind, z, head.depth_mm(z), head.grey_hu)


def to_datasets(head: CohortHead) -> list[Dataset]:
    """The study's only series, in slice order, each image with its file meta information."""
    datasets = list(to_series(_identity(head), _image(head)))
    for dataset in datasets:
        dataset.PatientAge = f"{head.age_years:03d}Y"
        dataset.Manufacturer = MANUFACTURER
        dataset.ManufacturerModelName = MODELS[head.labels.thick]
    return datasets


def _identity(head: CohortHead) -> SampleIdentity:
    return SampleIdentity(
        id=f"ich-cohort/{head.number}/{head.labels.kind}/{MODELS[head.labels.thick]}",
        patient=head.patient_id.replace("-", "^"),
        modality=SampleModality.CT,
        body_part="HEAD",
        description="Head phantom",
        derivation="Computed; no person was imaged.",
    )


def _image(head: CohortHead) -> SampleImage:
    corner_mm = -PIXEL_MM * (SIZE - 1) / 2
    geometry = Geometry(
        spacing_mm=(HEIGHTS_MM[1] - HEIGHTS_MM[0], PIXEL_MM, PIXEL_MM),
        origin_mm=(corner_mm, corner_mm, HEIGHTS_MM[0]),
        row_cosine=(1.0, 0.0, 0.0),
        column_cosine=(0.0, 1.0, 0.0),
        slice_thickness_mm=head.thickness_mm,
    )
    return SampleImage(head.hu, geometry, window=(40.0, 80.0))


def write_cohort(
    folder: Path, patients: int, *, first: int = 0, shares: Mixture = SHARES
) -> tuple[CohortStudy, ...]:
    """Store the patients from number `first` on, a folder each, and their truth beside them as `truth.csv`.

    The table is one for `serinus truth import`. Raises OSError.
    """
    studies = tuple(_write(folder, cohort_head(first + k, shares)) for k in range(patients))
    with (folder / TRUTH_FILE).open("w", newline="") as stream:
        table = csv.DictWriter(stream, TRUTH_COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(_truths(studies))
    return studies


def _write(folder: Path, head: CohortHead) -> CohortStudy:
    own = folder / head.patient_id
    own.mkdir(parents=True, exist_ok=True)
    for index, dataset in enumerate(to_datasets(head)):
        dataset.save_as(own / f"{index:02d}.dcm", enforce_file_format=True)
    return CohortStudy(study_uid(_identity(head)), head.patient_id, head.scanner, head.labels, own)


def _truths(studies: Sequence[CohortStudy]) -> Iterator[dict[str, str]]:
    for study in studies:
        yield {
            "study_uid": study.study_uid,
            "model": MODEL,
            "finding": FINDING,
            "label": "present" if study.labels.positive else "absent",
            "source": "pathology",
            "reader": "phantom",
            "read_at": READ_AT,
            "note": f"{study.labels.kind}, {study.scanner}",
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="number of the first patient")
    parser.add_argument("--thick", type=float, default=SHARES.thick, help="share of thick slices, 0 to 1")
    options = parser.parse_args(arguments)
    shares = Mixture(bleed=SHARES.bleed, rim=SHARES.rim, thick=options.thick)
    studies = write_cohort(options.folder, options.patients, first=options.first, shares=shares)
    print(f"{len(studies)} studies and {TRUTH_FILE} in {options.folder}")


if __name__ == "__main__":
    main()
