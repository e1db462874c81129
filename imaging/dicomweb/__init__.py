"""A PACS over DICOMweb: find and fetch studies, store reports (PS3.18). Import from this package only."""

from imaging.dicomweb.client import DicomwebArchive, DicomwebSource
from imaging.dicomweb.multipart import MultipartError, MultipartSplitter, boundary_of
from imaging.dicomweb.stow import encode_multipart

__all__ = [
    "DicomwebArchive",
    "DicomwebSource",
    "MultipartError",
    "MultipartSplitter",
    "boundary_of",
    "encode_multipart",
]
