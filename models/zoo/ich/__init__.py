"""Intracranial haemorrhage triage on head CT: four versions of truly different quality, trained on phantoms.

    python -m models.zoo.ich.train            # phantoms → weights/vN.safetensors and weights/vN.json
    python -m models.zoo.ich.evaluate         # fresh phantoms, whole heads, one real head → figures, cards/
    versions.build(version) → (network, ModelSpec)

For research and demonstration. No patient's haemorrhage was ever shown to these networks.
"""
