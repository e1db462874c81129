"""Whether enough different people approved, and in the roles that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from canary.rollout.seen import Approval
from canary.rollout.step import ApprovalRule


def missing(rule: ApprovalRule, approvals: Iterable[Approval]) -> str | None:
    """What is still missing, in a sentence; None when it is granted.

    Nobody counts for two roles: one person who is radiologist and quality manager needs a second one.
    """
    given = tuple(approvals)
    actors = {approval.actor for approval in given}
    by_role = {role: {one.actor for one in given if one.role == role} for role in rule.roles}
    if absent := absent_roles(rule, given):
        return f"waits for the approval of {' and '.join(absent)}"
    if not _are_different(by_role, frozenset()):
        return "waits for another person's approval, since nobody counts for two roles"
    if len(actors) < rule.count:
        return f"waits for approvals: {len(actors)} of {rule.count} people gave theirs"
    return None


def absent_roles(rule: ApprovalRule, approvals: Iterable[Approval]) -> tuple[str, ...]:
    """The roles that were asked for and in which nobody approved yet, in the order of the rule."""
    given = {approval.role for approval in approvals}
    return tuple(role for role in rule.roles if role not in given)


def _are_different(by_role: Mapping[str, set[str]], taken: frozenset[str]) -> bool:
    """Whether each role can have a person of its own."""
    if not by_role:
        return True
    role, *others = by_role
    rest = {other: by_role[other] for other in others}
    return any(_are_different(rest, taken | {actor}) for actor in by_role[role] - taken)
