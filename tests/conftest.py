"""For all tests: an example may take as long as a busy machine needs; speed is measured in benchmarks/ only."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("serinus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("serinus")
