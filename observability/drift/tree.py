"""Where a drift lies in the tree site → scanner → protocol: the smallest subtrees that explain it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from observability.drift.counters import Node

ROOT: Node = ()


def node_weights(watched: Iterable[Node]) -> Mapping[Node, float]:
    """A weight for each node, of the sum 1: every level of the tree has the same, shared by its nodes.

    They hang on the reference alone, so that a look at the data cannot move them.
    """
    nodes = tuple(watched)
    of_level = Counter(len(node) for node in nodes)
    return {node: 1.0 / len(of_level) / of_level[len(node)] for node in nodes}


def smallest_subtrees(
    found: Sequence[Node], rest_is_silent: Callable[[Node, tuple[Node, ...]], bool], root: Node = ROOT
) -> tuple[Node, ...]:
    """The lowest nodes that explain why `found` speak.

    A node is explained by those below it that were found, if without their studies it is quiet; else it speaks for
    itself. `rest_is_silent` is asked with the node and the found nodes next below it.
    """
    below = _next_below(root, found)
    if not below or (root in found and not rest_is_silent(root, below)):
        return (root,) if root in found else ()
    return tuple(node for child in below for node in smallest_subtrees(found, rest_is_silent, child))


def _next_below(root: Node, found: Sequence[Node]) -> tuple[Node, ...]:
    """The found nodes under the root that lie under no other such."""
    under = [node for node in found if len(node) > len(root) and node[: len(root)] == root]
    return tuple(
        sorted(
            node
            for node in under
            if not any(len(other) < len(node) and node[: len(other)] == other for other in under)
        )
    )
