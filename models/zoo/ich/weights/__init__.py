"""Weights (safetensors) and figures (JSON) of the committed versions; no code."""
