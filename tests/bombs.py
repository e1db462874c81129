"""Studies that are small on the wire and huge in memory, and valid in all else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from imaging.samples.synthetic import make_ct_study

LONGEST_RUN = 128  # of PackBits: two bytes say as many pixels (PS3.5 G.3.1)


def rle_bomb(seed: str, *, slices: int = 12, size: int = 12_000) -> Iterator[Dataset]:
    """A head CT of striped slices of `size` x `size` 16 bit pixels, 64 times smaller than what they decode to."""
    frame = rle_frame(size)
    for dataset in make_ct_study(seed, slices=slices, size=16):
        dataset.Rows = dataset.Columns = size
        dataset.PixelSpacing = [240 / size, 240 / size]
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        yield dataset


def rle_frame(size: int) -> bytes:
    """Stripes as an RLE frame of two segments, one for each byte of a pixel (PS3.5 G.2 to G.5)."""
    segments = [rle_row(size, values) * size for values in ((0, 0), (0, 40))]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    offsets = (2, 64, 64 + len(segments[0]), *(0,) * 13)
    return b"".join(number.to_bytes(4, "little") for number in offsets) + b"".join(segments)


def rle_row(size: int, values: tuple[int, int]) -> bytes:
    """Runs of the two values in turn."""
    runs, rest = divmod(size, LONGEST_RUN)
    row = b"".join(bytes((257 - LONGEST_RUN, values[number % 2])) for number in range(runs))
    return row + (bytes((257 - rest, 0)) if rest > 1 else bytes((0, 0)) * rest)


def write_study(datasets: Iterator[Dataset] | list[Dataset], folder: Path) -> str:
    """One file each; returns the study's UID."""
    folder.mkdir(parents=True, exist_ok=True)
    study_uid = ""
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        study_uid = str(dataset.StudyInstanceUID)
    return study_uid
