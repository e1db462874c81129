"""Ray's errors become ours: what may come right is retried, and no foreign text gets out."""

from __future__ import annotations

import pytest
from ray.exceptions import ObjectLostError, OwnerDiedError, RayTaskError, ReferenceCountingAssertionError

from core.errors import ModelFailed, SourceUnavailable
from serve_apps.adapters.serve_inference import cause_of


def raised(cause: Exception) -> RayTaskError:
    return RayTaskError("predict", "a traceback", cause)


@pytest.mark.parametrize("kind", [ObjectLostError, OwnerDiedError, ReferenceCountingAssertionError])
def test_a_study_that_left_the_object_store_is_fetched_again(kind: type[ObjectLostError]) -> None:
    found = cause_of(raised(kind("ab" * 28, None, "call site")))
    assert isinstance(found, SourceUnavailable)
    assert found.retryable


def test_our_own_error_stays_what_it_was() -> None:
    assert isinstance(cause_of(raised(ModelFailed("not finite"))), ModelFailed)


def test_a_foreign_errors_text_does_not_get_out() -> None:
    found = cause_of(raised(ValueError("DOE^JOHN")))
    assert "DOE" not in str(found)
    assert "ValueError" in str(found)
