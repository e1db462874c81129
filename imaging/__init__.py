"""DICOM in and out: studies, series, volumes, reports. Pure except dicomweb, object_store and folder."""
