"""What a study's context does to its priority: a site's rules raise it. A pure decision.

The context is what the caller says of a study: emergency department, trauma, ward, referring service. Of all rules
that match, the one with the most urgent priority counts, so that their order does not; of two such, the one that
lowers none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.priority import PRIORITY_DELAY_S, Priority


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """Every entry of `match` is in the context, with one of its values; case and outer blanks do not count.

    It lowers a priority only if it `may_lower`.
    """

    name: str
    match: Mapping[str, tuple[str, ...]] = field(repr=False)
    priority: Priority
    may_lower: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.match or not all(self.match.values()):
            raise ValueError("a rule has a name, and each entry that it looks at has values")

    def fits(self, context: Mapping[str, str]) -> bool:
        """Whether the context is one of those that the rule is for."""
        given = {_plain(name): _plain(value) for name, value in context.items()}
        return all(
            given.get(_plain(name)) in {_plain(value) for value in values}
            for name, values in self.match.items()
        )


@dataclass(frozen=True, slots=True)
class RankedPriority:
    """The priority that counts, and the name of the rule that made it another than the one asked for."""

    priority: Priority
    rule: str | None = None


def priority_of(asked: Priority, context: Mapping[str, str], rules: Iterable[PriorityRule]) -> RankedPriority:
    """
    >>> ed = PriorityRule("ED first", {"service": ("ED", "trauma")}, Priority.STAT)
    >>> priority_of(Priority.ROUTINE, {"service": "ed"}, [ed])
    RankedPriority(priority=<Priority.STAT: 'stat'>, rule='ED first')
    """
    fitting = [rule for rule in rules if rule.fits(context)]
    if not fitting:
        return RankedPriority(asked)
    rule = min(fitting, key=lambda rule: (PRIORITY_DELAY_S[rule.priority], rule.may_lower))
    raises = PRIORITY_DELAY_S[rule.priority] < PRIORITY_DELAY_S[asked]
    if raises or (rule.may_lower and rule.priority is not asked):
        return RankedPriority(rule.priority, rule.name)
    return RankedPriority(asked)


def _plain(text: str) -> str:
    return text.strip().casefold()
