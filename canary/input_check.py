"""A study that a version does not know: what a site makes of it. Pure.

The default of a new site is `refuse`: a version that has never seen such a study answers at random, often with full
certainty, and no number of its own tells so. A refusal costs a genuine study, at the rate that the reference states,
what a missing algorithm costs it: a person reads it as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class InputRule(StrEnum):
    """What follows for a study out of the version's distribution."""

    REFUSE = "refuse"  # no answer: `input-out-of-distribution`
    INDETERMINATE = "indeterminate"  # every finding is indeterminate, nothing is measured, urgent or marked
    NOTE = "note"  # the answer as it is, with a note: for trying out the check beside live studies


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """A site's rule, and whether a version that brings no reference may not answer at all."""

    rule: InputRule = InputRule.REFUSE
    is_required: bool = False


NEW_SITE: Final = InputPolicy()


class InputConsequence(StrEnum):
    """What becomes of one study."""

    ANSWER = "answer"
    NOTE = "note"
    INDETERMINATE = "indeterminate"
    REFUSE = "refuse"


def consequence(is_foreign: bool | None, policy: InputPolicy) -> InputConsequence:
    """Follow the site's rule. `is_foreign` is None for a version that brings no reference.

    |                       | refuse | indeterminate | note   |
    |-----------------------|--------|---------------|--------|
    | in distribution       | answer | answer        | answer |
    | out of it             | refuse | indeterminate | note   |
    | no reference          | answer | answer        | answer |
    | … where one is asked  | refuse | refuse        | refuse |
    """
    if is_foreign is None:
        return InputConsequence.REFUSE if policy.is_required else InputConsequence.ANSWER
    return InputConsequence(policy.rule.value) if is_foreign else InputConsequence.ANSWER


def excuses_failure(is_foreign: bool | None, rule: InputRule) -> bool:
    """Whether a network that fails on such a study is blameless.

    A site that only notes trusts the check with nothing: there a failure counts as any other.
    """
    return is_foreign is True and rule is not InputRule.NOTE
