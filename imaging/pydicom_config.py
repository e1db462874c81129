"""Keep pydicom from repeating tag values in logs and warnings: it quotes what it finds invalid."""

from __future__ import annotations

import logging
import warnings

import pydicom.config


def configure_pydicom() -> None:
    """Silence pydicom in this process. Every archive does it; a process without one calls it itself."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logger = logging.getLogger("pydicom")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?$")
