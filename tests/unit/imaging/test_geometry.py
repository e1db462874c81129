from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BrokenGeometry
from imaging.geometry import check_orientations, stack_slices

Z = np.array([0.0, 0.0, 1.0])
AXIAL = np.array([1.0, 0, 0, 0, 1, 0])


def axial_positions(*heights_mm: float) -> np.ndarray:
    return np.array([[-100.0, -120.0, height] for height in heights_mm])


@given(order=st.permutations(range(8)), step_mm=st.floats(min_value=0.3, max_value=20))
def test_slices_are_sorted_by_position_whatever_their_order(order: list[int], step_mm: float) -> None:
    stack = stack_slices(axial_positions(*(index * step_mm for index in order)), Z, 0.02)
    assert [order[index] for index in stack.order] == list(range(8))
    assert stack.spacing_mm == pytest.approx(step_mm)


@given(angle=st.floats(min_value=-1.5, max_value=1.5), step_mm=st.floats(min_value=0.5, max_value=10))
def test_an_oblique_stack_is_no_tilt(angle: float, step_mm: float) -> None:
    normal = np.array([0, np.sin(angle), np.cos(angle)])
    positions = np.outer(np.arange(6) * step_mm, normal) + np.array([5, 6, 7])
    assert stack_slices(positions, normal, 0.02).spacing_mm == pytest.approx(step_mm)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (
            axial_positions(0, 2.5, 5, 10, 12.5),
            r"distance of 5.00 mm between slices 3 and 4 of 5, where 2.50 mm",
        ),
        (axial_positions(0, 2.5, 2.5, 5), "1 of 4 slices lie at the position of another"),
        (axial_positions(0, float("nan")), "not a number"),
        (
            np.array([[0, 0.2679 * z, z] for z in range(20)]),
            r"shift by 5.1 mm .* over 19.0 mm \(a gantry tilt of 15.0",
        ),
    ],
)
def test_a_broken_stack_is_refused_with_its_measure(positions: np.ndarray, message: str) -> None:
    with pytest.raises(BrokenGeometry, match=message):
        stack_slices(positions, Z, 0.02)


def test_the_rounding_of_decimal_strings_is_no_gap() -> None:
    positions = axial_positions(*(round(index * 1.25 / 3, 2) for index in range(30)))
    assert stack_slices(positions, Z, 0.02).spacing_mm == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ([1, 0, 0, 0, 0, 1], "different orientations"),
        ([float("nan")] * 6, "different orientations"),
    ],
)
def test_slices_of_another_orientation_are_refused(second: list[float], message: str) -> None:
    with pytest.raises(BrokenGeometry, match=message):
        check_orientations(np.array([AXIAL, second]))


def test_cosines_that_are_not_orthogonal_are_refused() -> None:
    with pytest.raises(BrokenGeometry, match="not orthogonal"):
        check_orientations(np.array([[1.0, 0, 0, 1, 0, 0]]))
