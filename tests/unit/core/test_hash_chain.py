"""A chain tells of any change, wherever it is made."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.hash_chain import GENESIS, ChainFault, chain_faults, chained, digest_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
CONTENTS = st.lists(
    st.tuples(st.sampled_from(["plan", "event"]), st.dictionaries(st.text(max_size=5), VALUES, max_size=3)),
    min_size=1,
    max_size=5,
)


@given(CONTENTS)
def test_a_chain_is_whole_and_begins_at_the_same_place(contents: list[tuple[str, dict[str, Any]]]) -> None:
    records = chained(contents)
    assert list(chain_faults(records)) == []
    assert records[0]["previous"] == GENESIS
    assert [(one["kind"], one["content"]) for one in records] == contents


def test_a_digest_does_not_know_the_order_of_names_and_tells_numbers_apart() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert len({digest_of(value) for value in (1, 1.0, True, "1", None)}) == 5


@given(CONTENTS, st.data())
def test_any_other_value_in_a_record_is_found_there(
    contents: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    records = copy.deepcopy(chained(contents))
    index = data.draw(st.integers(0, len(records) - 1))
    field = data.draw(st.sampled_from(["kind", "content", "previous", "digest"]))
    other = data.draw(VALUES.filter(lambda value: digest_of(value) != digest_of(records[index][field])))
    records[index][field] = other
    first = next(chain_faults(records))
    assert first.record == index + 1


@given(CONTENTS.filter(lambda contents: len(contents) > 1), st.data())
def test_a_record_that_is_taken_out_or_moved_is_found(
    contents: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    records = chained(contents)
    index = data.draw(st.integers(0, len(records) - 2))
    assert list(chain_faults(records[:index] + records[index + 1 :]))
    moved = [*records[:index], records[index + 1], records[index], *records[index + 2 :]]
    assert list(chain_faults(moved))


def test_a_fault_is_told_with_its_record() -> None:
    records = chained([("plan", {"steps": 3}), ("event", {"number": 1})])
    records[1]["content"] = {"number": 2}
    assert list(chain_faults(records)) == [ChainFault(2, "was changed")]
    assert [fault.record for fault in chain_faults([records[0], {**records[1], "note": ""}])] == [2]
