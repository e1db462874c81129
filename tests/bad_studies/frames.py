"""Enhanced multi-frame objects that are not one volume, or whose frames are not what their object says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless, RLELossless

from tests.bad_studies.case import INNER, Case, Files, as_files, changed, head
from tests.enhanced import dimension, enhanced

Groups = Sequence[Dataset]
Change = Callable[[Dataset, Groups], object]


def one_object(change: Change | None = None) -> Callable[[], Files]:
    """The head in one object."""
    return lambda: as_files([enhanced(head(), change)])


def compressed(syntax: str, plugin: str, change: Callable[[Dataset], object] = bool) -> Callable[[], Files]:
    def make() -> Files:
        whole = enhanced(head())
        whole.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        change(whole)
        return as_files([whole])

    return make


def _two_phases(whole: Dataset, groups: Groups) -> None:
    """Every place is taken twice, at two times."""
    whole.DimensionIndexSequence = [dimension("StackID"), dimension("TemporalPositionIndex")]
    for number, group in enumerate(groups):
        place = group.PlanePositionSequence[0]
        place.ImagePositionPatient = groups[number // 2 * 2].PlanePositionSequence[0].ImagePositionPatient
        group.FrameContentSequence[0].DimensionIndexValues = [1, 1 + number % 2]


def _two_stacks(whole: Dataset, groups: Groups) -> None:
    for number, group in enumerate(groups):
        group.FrameContentSequence[0].StackID = str(1 + number // INNER)


def _a_gap(whole: Dataset, groups: Groups) -> None:
    for group in groups[INNER:]:
        place = group.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x, y, z + 5]


def _no_position(whole: Dataset, groups: Groups) -> None:
    del groups[INNER].PlanePositionSequence


def _no_rescale(whole: Dataset, groups: Groups) -> None:
    del groups[INNER].PixelValueTransformationSequence


def _a_group_short(whole: Dataset, groups: Groups) -> None:
    del whole.PerFrameFunctionalGroupsSequence[-1]


def _cut(whole: Dataset, groups: Groups) -> None:
    whole.PixelData = whole.PixelData[:-1000]


def _a_frame_short(whole: Dataset) -> None:
    frames = list(generate_frames(whole.PixelData, number_of_frames=whole.NumberOfFrames))
    whole.PixelData = encapsulate(frames[:-1])


def _huge(whole: Dataset) -> None:
    changed(whole, Rows=60000, Columns=60000)


def _many(whole: Dataset) -> None:
    changed(whole, Rows=4000, Columns=4000)


CASES = (
    Case("an enhanced CT of the head", one_object()),
    Case("an enhanced CT in JPEG-LS", compressed(JPEGLSLossless, "pyjpegls")),
    Case("an enhanced CT of two phases", one_object(_two_phases), "no-eligible-series"),
    Case("an enhanced CT of two stacks", one_object(_two_stacks), "no-eligible-series"),
    Case("a functional group short", one_object(_a_group_short), "no-eligible-series"),
    Case("a gap between frames", one_object(_a_gap), "geometry-invalid"),
    Case("a frame without a position", one_object(_no_position), "geometry-invalid"),
    Case("a frame without its pixel value transformation", one_object(_no_rescale), "rescale-invalid"),
    Case("frames cut off", one_object(_cut), "pixels-damaged"),
    Case("a compressed frame short", compressed(JPEGLSLossless, "pyjpegls", _a_frame_short), "pixels-damaged"),
    Case("RLE frames that declare 60000 x 60000", compressed(RLELossless, "pylibjpeg", _huge), "pixels-too-large"),
    Case("frames that together decode to more than a study may", compressed(RLELossless, "pylibjpeg", _many), "pixels-too-large"),
)  # fmt: skip
