"""Intracranial haemorrhage triage on head CT: versions of truly different quality, trained on phantoms.

    python -m models.zoo.ich.train            # phantoms → weights/vN.safetensors and weights/vN.json
    python -m models.zoo.ich.evaluate         # fresh phantoms, whole heads, one real head → figures, cards/
    python -m models.zoo.ich.cohort FOLDER    # studies as DICOM with their truth, for demos and tests
    versions.build(version) → (network, ModelSpec)

For research and demonstration. No patient's haemorrhage was ever shown to these networks.
"""
