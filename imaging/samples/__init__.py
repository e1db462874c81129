"""Real studies from packages that hold them, and synthetic ones for tests, as proper DICOM."""
