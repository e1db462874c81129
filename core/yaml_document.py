"""YAML that a person wrote: its documents, and every mistake in them told by its line, its field and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.composer import ComposerError

from core.codec import InvalidDocument

MOST_TOLD: Final = 20
Marks = Mapping[str, yaml.Mark]


UNREADABLE: Final = (
    *(ValueError, KeyError, IndexError, AttributeError, TypeError),  # of what a tag such as `!!int` asks for
    *(OverflowError, RecursionError),
)


class _TextLoader(yaml.SafeLoader):
    """A date stays the text that it is in JSON, too, so that what reads the document decides what a date is.

    An alias is refused: a few lines of them stand for more values than there is memory, or for themselves.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ComposerError(None, None, "an alias is not taken here", mark)
        return super().compose_node(parent, index)


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class BrokenYaml(ValueError):
    """The text is no YAML, or no document that can be read; the message begins with `file:line:column`."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: its plain values, and where each of them stands. `doubled` tells of keys that stand twice."""

    name: str
    value: Any
    marks: Marks
    doubled: tuple[str, ...]

    def told(self, faults: Iterable[InvalidDocument]) -> list[str]:
        """The faults of this document, each as `file:line:column: field: reason`, after the keys that stand twice."""
        return [*self.doubled, *(self._told(fault.pointer, fault.problem) for fault in faults)]

    def _told(self, pointer: str, problem: str) -> str:
        """A field that is missing has no place of its own: that of what it is missing from is told."""
        known = pointer
        while known not in self.marks and known.strip("/"):
            known = known.rpartition("/")[0]
        return f"{_place(self.name, self.marks.get(known if known != '/' else ''))}: {pointer}: {problem}"


def read_documents(text: str, name: str) -> tuple[YamlDocument, ...]:
    """All documents of a file called `name`, at least one. Raises BrokenYaml."""
    try:
        roots = list(yaml.compose_all(text, _TextLoader))
        values = list(yaml.load_all(text, _TextLoader))
        if not roots:
            return (YamlDocument(name, None, {}, ()),)
        return tuple(
            YamlDocument(name, value, dict(_marks(root, "")), tuple(_doubled(root, name)))
            for root, value in zip(roots, values, strict=True)
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BrokenYaml(f"{_place(name, mark)}: {error.problem or error.context}") from None
    except yaml.YAMLError:
        raise BrokenYaml(f"{name}: it holds a character that YAML does not allow") from None
    except UNREADABLE:
        raise BrokenYaml(f"{name}: it holds a value that cannot be read, or is nested too deeply") from None


def cut(told: list[str]) -> str:
    """As many lines as a person reads."""
    more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
    return "\n".join([*told[:MOST_TOLD], *more])


def _place(name: str, mark: yaml.Mark | None) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def _marks(node: yaml.Node, pointer: str) -> Iterator[tuple[str, yaml.Mark]]:
    """Where each value of the document begins, a mapping's by its key; by JSON pointer."""
    yield pointer, node.start_mark
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = f"{pointer}/{key.value}"
            yield from _marks(value, step)
            yield step, key.start_mark
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _marks(value, f"{pointer}/{index}")


def _doubled(node: yaml.Node | None, name: str) -> Iterator[str]:
    """Keys that stand twice in a mapping: YAML would take the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield f"{_place(name, key.start_mark)}: {key.value} stands here twice"
            seen.add(str(key.value))
            yield from _doubled(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _doubled(value, name)
