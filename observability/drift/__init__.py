"""Drift: do the studies of today still come from where those of the reference came? Pure, from integer counts."""
