"""The input check of one study, by the site's rule: before the forward, after a failure, and on the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from canary.input_check import NEW_SITE, InputConsequence, InputPolicy, consequence, excuses_failure
from core.errors import InputOutOfDistribution, ModelFailed, SerinusError
from imaging.finding import Finding, InputCheck, InputVerdict, Prediction, Presence, Urgency
from imaging.volume import Volume

UNLIKE = "the study is unlike those the version was made for"
NO_REFERENCE = (
    "this site asks for an input check, and the version brings no reference to compare the study with"
)
NOTHING_READ = "so nothing is read from it"


def no_check(volume: Volume) -> InputCheck:
    """For a version that brings no reference."""
    return InputCheck()


@dataclass(frozen=True, slots=True)
class InputGuard:
    """A version's check with the site's policy. `check` is pure and takes a few milliseconds."""

    check: Callable[[Volume], InputCheck] = no_check
    policy: InputPolicy = NEW_SITE

    def look(self, volume: Volume) -> InputCheck:
        """The verdict on a study. Raises InputOutOfDistribution where the site refuses it."""
        found = self.check(volume)
        if self._consequence(found) is InputConsequence.REFUSE:
            raise InputOutOfDistribution(sentence(found) if found.is_foreign else NO_REFERENCE)
        return found

    def failure(self, failed: SerinusError, found: InputCheck) -> SerinusError:
        """A version that fails on a study it does not know is not to blame for that."""
        if isinstance(failed, ModelFailed) and excuses_failure(_is_foreign(found), self.policy.rule):
            return InputOutOfDistribution(f"{sentence(found)}, and the network failed on it")
        return failed

    def answer(self, prediction: Prediction, found: InputCheck) -> Prediction:
        """The prediction with its check, and what is left of it under the site's rule."""
        checked = replace(prediction, input_check=found)
        match self._consequence(found):
            case InputConsequence.INDETERMINATE:
                return _indeterminate(checked, f"{sentence(found)}, {NOTHING_READ}")
            case InputConsequence.NOTE:
                return replace(checked, notes=(*checked.notes, sentence(found)))
            case _:
                return checked

    def _consequence(self, found: InputCheck) -> InputConsequence:
        return consequence(_is_foreign(found), self.policy)


UNGUARDED: Final = InputGuard()


def sentence(found: InputCheck) -> str:
    """What is said of a foreign study: names of measures, none of their values."""
    return f"{UNLIKE} ({', '.join(found.unusual)})" if found.unusual else UNLIKE


def _is_foreign(found: InputCheck) -> bool | None:
    return None if found.verdict is InputVerdict.UNCHECKED else found.is_foreign


def _indeterminate(prediction: Prediction, note: str) -> Prediction:
    """Without all that could be taken for a reading."""
    return replace(
        prediction,
        findings=tuple(_undetermined(finding) for finding in prediction.findings),
        measurements=(),
        boxes=(),
        priority_score=None,
        urgency=Urgency.NONE,
        mask=None,
        mask_concept=None,
        features=None,
        notes=(*prediction.notes, note),
    )


def _undetermined(finding: Finding) -> Finding:
    return replace(
        finding, presence=Presence.INDETERMINATE, urgency=Urgency.NONE, key_instance_uid=None, key_frame=None
    )
