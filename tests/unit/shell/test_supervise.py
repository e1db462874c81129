"""The supervisor of the embedded stack: what it starts again, and when it gives up so that all is started anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry.server import EmbeddedServerError
from serve_apps.cli.status import advice
from serve_apps.embedded.supervise import API_SILENT_S, REGISTRY_SILENT_S, Registry, StackFailed, Supervisor
from serve_apps.settings import Settings


@dataclass
class Stack:
    """A stack whose parts stand as a test says."""

    head: bool = True
    api: bool = True
    mlflow: Registry = Registry.ANSWERS
    can_start: bool = True
    at: float = 0.0
    starts: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def head_lives(self) -> bool:
        return self.head

    def api_answers(self) -> bool:
        return self.api

    def registry(self) -> Registry:
        return self.mlflow

    def start_registry(self) -> None:
        self.starts.append(self.at)
        if not self.can_start:
            raise EmbeddedServerError("port 5000 is in use by another program")
        self.mlflow = Registry.ANSWERS

    def supervisor(self) -> Supervisor:
        return Supervisor(self, self.said.append, lambda: self.at)


def look_until(stack: Stack, supervisor: Supervisor, end: float) -> None:
    while stack.at < end:
        stack.at += 5.0
        supervisor.look()


def test_a_stack_that_is_well_is_left_alone() -> None:
    stack = Stack()
    look_until(stack, stack.supervisor(), 1000.0)
    assert (stack.starts, stack.said) == ([], [])


def test_mlflow_that_has_ended_is_started_again_in_place() -> None:
    stack = Stack()
    supervisor = stack.supervisor()
    stack.mlflow = Registry.GONE
    supervisor.look()
    assert len(stack.starts) == 1
    supervisor.look()
    assert len(stack.starts) == 1


def test_mlflow_that_is_busy_is_given_time_and_then_started_again() -> None:
    stack = Stack(mlflow=Registry.SILENT)
    supervisor = stack.supervisor()
    look_until(stack, supervisor, REGISTRY_SILENT_S)
    assert stack.starts == []
    look_until(stack, supervisor, REGISTRY_SILENT_S + 5.0)
    assert len(stack.starts) == 1


def test_mlflow_that_cannot_be_started_is_tried_more_and_more_rarely_and_ends_nothing() -> None:
    stack = Stack(mlflow=Registry.GONE, can_start=False)
    look_until(stack, stack.supervisor(), 600.0)
    pauses = [later - earlier for earlier, later in zip(stack.starts, stack.starts[1:], strict=False)]
    assert pauses[:5] == [5.0, 10.0, 20.0, 40.0, 60.0]
    assert max(pauses) == 60.0
    assert "port 5000 is in use by another program" in stack.said


def test_a_head_that_has_ended_ends_the_stack() -> None:
    stack = Stack(head=False)
    with pytest.raises(StackFailed, match="Ray head has ended"):
        stack.supervisor().look()


def test_an_api_that_stays_silent_ends_the_stack_and_one_that_comes_back_does_not() -> None:
    stack = Stack(api=False)
    supervisor = stack.supervisor()
    look_until(stack, supervisor, API_SILENT_S)
    stack.api = True
    look_until(stack, supervisor, API_SILENT_S + 5.0)
    stack.api = False
    look_until(stack, supervisor, 2 * API_SILENT_S)
    with pytest.raises(StackFailed, match="has not answered for 120 s"):
        look_until(stack, supervisor, 3 * API_SILENT_S)


@pytest.mark.parametrize(
    ("down", "said"),
    [
        ([], []),
        (["mlflow"], ["studies are being read all the same"]),
        (["ray", "api"], ["`serinus up` starts it again"]),
        (["api"], ["logs lie in"]),
    ],
)
def test_status_says_what_to_do_about_a_part_that_is_down(
    tmp_path: Path, down: list[str], said: list[str]
) -> None:
    running = {part: part not in down for part in ("mlflow", "ray", "api")}
    sentences = advice(running, Settings(state_dir=tmp_path))
    assert len(sentences) == len(said)
    assert all(part in sentence for part, sentence in zip(said, sentences, strict=True))


def test_a_registry_of_the_sites_own_is_not_ours_to_start(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, mlflow_url="http://mlflow.example:5000")
    (sentence,) = advice({"mlflow": False, "ray": True, "api": True}, settings)
    assert "your own, at http://mlflow.example:5000" in sentence
