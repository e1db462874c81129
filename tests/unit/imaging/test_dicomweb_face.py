"""The product imports the DICOMweb package, never a module inside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_layers import imports, modules, name_of

PACKAGE = "imaging.dicomweb"
OUTSIDE = [path for path in modules() if not name_of(path).startswith(PACKAGE)]


@pytest.mark.parametrize("path", OUTSIDE, ids=name_of)
def test_only_the_package_is_imported(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith(f"{PACKAGE}.")]
