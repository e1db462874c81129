"""Model cards, written by `evaluate`; no code."""
