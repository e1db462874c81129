"""MLflow without its own words on stdout: what a command of ours prints is a document or a table."""

from __future__ import annotations

import os


def silence_mlflow() -> None:
    """Have MLflow print no addresses and no progress, here if it is not imported yet, and in what we start."""
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_LOGGING_LEVEL"] = "WARNING"
