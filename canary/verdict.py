"""The four ways a question to the evidence can end (the words are Argo Rollouts')."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"  # no data, or not enough: never promotes
    ERROR = "Error"
