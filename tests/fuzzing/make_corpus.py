"""One small image in every transfer syntax that is read, multi-frame objects of every kind, and some in colour.

`python -m tests.fuzzing.make_corpus` writes them anew.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    RLELossless,
    VLPhotographicImageStorage,
)

from tests.ct import ct_slice, encoded
from tests.enhanced import enhanced

CORPUS = Path(__file__).parent / "corpus"
NATIVE = {
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
BY_PYDICOM = {
    "rle": (RLELossless, {"encoding_plugin": "pylibjpeg"}),
    "jpeg-ls": (JPEGLSLossless, {"encoding_plugin": "pyjpegls"}),
    "jpeg-ls-near": (JPEGLSNearLossless, {"encoding_plugin": "pyjpegls", "jls_error": 2}),
    "jpeg-2000": (JPEG2000Lossless, {"encoding_plugin": "pylibjpeg"}),
    "jpeg-2000-lossy": (JPEG2000, {"encoding_plugin": "pylibjpeg", "j2k_cr": [4]}),
}
BY_GDCM = {
    "jpeg-baseline": "JPEGBaselineProcess1",
    "jpeg-extended": "JPEGExtendedProcess2_4",
    "jpeg-lossless": "JPEGLosslessProcess14",
    "jpeg-lossless-sv1": "JPEGLosslessProcess14_1",
}


def image(dtype: type[np.generic] = np.uint16, top: int = 4096) -> Dataset:
    """40 x 36 pixels of a slope with noise, and a header with a sequence in it."""
    slope = np.add.outer(np.arange(40) * (top // 100), np.arange(36) * (top // 100))
    noise = np.random.default_rng(0).integers(0, top // 16, slope.shape)
    made = ct_slice(1, pixels=(slope + noise).astype(dtype), PatientName="CORPUS^ONE", PatientID="CORPUS-1")
    bits = 12 if dtype is np.uint16 else 8
    made.BitsStored, made.HighBit = bits, bits - 1
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "CTHEAD", "99LOCAL", "CT of a head"
    made.ProcedureCodeSequence = [code]
    return made


def frames(modality: str, kind: str) -> Dataset:
    """Three images in one object."""
    images = [image() for _ in range(3)]
    for number, one in enumerate(images):
        one.Modality, one.ImagePositionPatient = modality, [-10, -20, 2.5 * number]
    return enhanced(images, SOPClassUID=kind)


def compressed_frames(modality: str, kind: str, syntax: str, plugin: str) -> Dataset:
    whole = frames(modality, kind)
    whole.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    return whole


def multi_frame_files() -> dict[str, bytes]:
    """Each has its frames listed in another way: not at all, in a basic or an extended offset table, without one."""
    basic = compressed_frames("MR", EnhancedMRImageStorage, JPEGLSLossless, "pyjpegls")
    bare = compressed_frames("CT", LegacyConvertedEnhancedCTImageStorage, RLELossless, "pylibjpeg")
    bare.PixelData = encapsulate(list(generate_frames(bare.PixelData, number_of_frames=3)), has_bot=False)
    extended = compressed_frames("MR", LegacyConvertedEnhancedMRImageStorage, JPEG2000Lossless, "pylibjpeg")
    parts = encapsulate_extended(list(generate_frames(extended.PixelData, number_of_frames=3)))
    extended.PixelData, extended.ExtendedOffsetTable, extended.ExtendedOffsetTableLengths = parts
    for whole in (bare, extended):
        whole["PixelData"].is_undefined_length = True
    return {
        "enhanced-ct": encoded(frames("CT", EnhancedCTImageStorage)),
        "enhanced-mr": encoded(basic),
        "converted-ct": encoded(bare),
        "converted-mr": encoded(extended),
    }


def photograph() -> Dataset:
    """40 x 36 pixels in colour; a picture has neither position nor unit."""
    colours = np.stack([np.frombuffer(image(np.uint8, 200).PixelData, np.uint8)] * 3, axis=-1)
    made = image(np.uint8)
    made.SOPClassUID, made.Modality, made.PixelData = VLPhotographicImageStorage, "XC", colours.tobytes()
    made.PhotometricInterpretation, made.SamplesPerPixel, made.PlanarConfiguration = "RGB", 3, 0
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(made, keyword)
    return made


def painting() -> Dataset:
    """The same by the numbers of a palette."""
    made = photograph()
    made.PhotometricInterpretation, made.SamplesPerPixel = "PALETTE COLOR", 1
    made.PixelData = made.PixelData[::3]
    del made.PlanarConfiguration
    for part in ("Red", "Green", "Blue"):
        setattr(made, f"{part}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{part}PaletteColorLookupTableData", (np.arange(256, dtype="<u2") * 257).tobytes())
    return made


def colour_files() -> dict[str, bytes]:
    lossless, rle = photograph(), painting()
    lossless.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    rle.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    return {"colour-jpeg-ls": encoded(lossless), "palette-rle": encoded(rle)}


def files() -> dict[str, bytes]:
    made = {"explicit": encoded(image())}
    for name, syntax in NATIVE.items():
        made[name] = _rewritten(syntax)
    for name, (syntax, options) in BY_PYDICOM.items():
        dataset = pydicom.dcmread(BytesIO(made["explicit"]))
        dataset.compress(syntax, generate_instance_uid=False, **options)
        made[name] = encoded(dataset)
    return made


def _rewritten(syntax: str) -> bytes:
    dataset = image()
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    return encoded(dataset)


def write_by_gdcm(name: str, syntax: str, folder: Path) -> None:
    """GDCM writes from file to file, and lossy images of 8 bits.

    Imported before zlib it puts its own zlib in that one's place, and deflating crashes.
    """
    import gdcm

    source = folder / "source.dcm"
    source.write_bytes(
        encoded(image(np.uint8, 128) if name in ("jpeg-baseline", "jpeg-extended") else image())
    )
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    if not reader.Read():
        raise RuntimeError("GDCM does not read the source")
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError(f"GDCM does not make {name}")
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(folder / f"{name}.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        raise RuntimeError(f"GDCM does not write {name}")
    source.unlink()


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    for name, content in (files() | multi_frame_files() | colour_files()).items():
        (CORPUS / f"{name}.dcm").write_bytes(content)
    for name, syntax in BY_GDCM.items():
        write_by_gdcm(name, syntax, CORPUS)


if __name__ == "__main__":
    main()
