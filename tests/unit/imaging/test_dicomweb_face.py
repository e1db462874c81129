"""The product imports the DICOMweb package, never a module inside it."""

from __future__ import annotations

from tests.unit.test_layers import imports, modules, name_of

PACKAGE = "imaging.dicomweb"


def test_only_the_package_is_imported() -> None:
    outside = [path for path in modules() if not name_of(path).startswith(PACKAGE)]
    inner = [
        (name_of(path), name) for path in outside for name in imports(path) if name.startswith(f"{PACKAGE}.")
    ]
    assert outside
    assert inner == []
