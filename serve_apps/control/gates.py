"""The answers of outside systems that have a say in a rollout: asked beside the looks, kept with their time.

A look says what matters now and takes what is there; it waits for nobody. Each gate is asked every ten seconds at
most, while a look has asked for it. What is no clear answer counts as none, with why.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from canary.rollout.gate import GateAnswer, GateKind
from canary.rollout.gate_rules import GateQuestion
from core.clock import now
from core.errors import GateFailed
from serve_apps.application.callback_hosts import is_allowed

logger = logging.getLogger("serinus.gates")
ASK_S: Final = 10.0
PAUSE_S: Final = 1.0
WANTED_S: Final = 5.0  # a question that no look asked for so long is asked no more
LONGEST_REASON: Final = 200
NO_REASON: Final = "it gave no reason"
Key = tuple[str, int, GateKind]


class GateCalls(Protocol):
    """Posts a question, signed; raises GateFailed when no answer came."""

    async def ask(self, url: str, message: str, body: bytes) -> bytes: ...


class GatePort(Protocol):
    """What a look needs of the gates."""

    def want(self, questions: Iterable[GateQuestion]) -> None: ...
    def answers(self, model: str, run: int) -> tuple[GateAnswer, ...]: ...


class NoGates:
    """For whoever asks nobody: no gate ever answers, so a declared one holds."""

    def want(self, questions: Iterable[GateQuestion]) -> None:
        """Nothing is asked."""

    def answers(self, model: str, run: int) -> tuple[GateAnswer, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    questions: tuple[GateQuestion, ...] = ()
    at: float = float("-inf")


class AskedGates:
    """Asks what is wanted, in the event loop; looks in other threads say so and read the answers."""

    def __init__(
        self,
        calls: GateCalls,
        hosts: Collection[str],
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hosts` are those that the site lets be called."""
        self._calls = calls
        self._hosts = hosts
        self._clock = clock
        self._monotonic = monotonic
        self._wanted = _Wanted()
        self._answers: Mapping[Key, GateAnswer] = {}
        self._asked_at: dict[Key, float] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}

    def want(self, questions: Iterable[GateQuestion]) -> None:
        """What matters as things stand, in place of what mattered before."""
        self._wanted = _Wanted(tuple(questions), self._monotonic())

    def answers(self, model: str, run: int) -> tuple[GateAnswer, ...]:
        """The last answer of each gate about a run, however old."""
        return tuple(one for key, one in self._answers.items() if key[:2] == (model, run))

    async def run_forever(self) -> None:
        while True:
            self.once()
            await asyncio.sleep(PAUSE_S)

    def once(self) -> None:
        """Begin to ask what is due. A gate that hangs is not asked again meanwhile, and holds up no other."""
        at, wanted = self._monotonic(), self._wanted
        if at - wanted.at > WANTED_S:
            return
        self._forget({question.key for question in wanted.questions})
        for question in wanted.questions:
            key = question.key
            if key not in self._asking and at - self._asked_at.get(key, float("-inf")) >= ASK_S:
                self._asked_at[key] = at
                task = self._asking[key] = asyncio.create_task(self._ask(question))
                task.add_done_callback(lambda _, key=key: self._asking.pop(key, None))  # type: ignore[misc]

    def close(self) -> None:
        for task in tuple(self._asking.values()):
            task.cancel()

    def _forget(self, wanted: Collection[Key]) -> None:
        """What is not asked any more, so that an answer of then is none of later."""
        self._answers = {key: one for key, one in self._answers.items() if key in wanted}
        self._asked_at = {key: at for key, at in self._asked_at.items() if key in wanted}

    async def _ask(self, question: GateQuestion) -> None:
        """Ask once. The answer counts from when it was asked for: what was true before it came is no older."""
        asked_at = self._clock()
        try:
            says, reason = await self._answer(question, asked_at)
        except GateFailed as error:
            says, reason = None, error.detail
            logger.warning("gates.no_answer", extra=_fields(question))
        except Exception as error:
            says, reason = None, "it could not be asked"
            logger.exception("gates.not_asked", extra={"error": type(error).__name__})
        answer = GateAnswer(question.kind, question.status.run, says, reason, asked_at)
        self._answers = {**self._answers, question.key: answer}

    async def _answer(self, question: GateQuestion, at: datetime) -> tuple[bool, str]:
        if not is_allowed(question.url, self._hosts):
            raise GateFailed("its host is not allowed by this site")
        status = question.status
        message = f"{status.model}/{status.run}/{question.kind}/{int(at.timestamp())}"
        body = json.dumps(asked_of(question)).encode()
        return read_answer(question.kind, await self._calls.ask(question.url, message, body))


def asked_of(question: GateQuestion) -> Mapping[str, Any]:
    """What an outside system is told with its question."""
    status = question.status
    return {
        "type": f"gate.{question.kind}",
        "model": status.model,
        "candidate": status.candidate,
        "stable": status.stable,
        "run": status.run,
        "phase": status.phase.value,
        "step": status.step,
        "weight_bp": status.weight_bp,
    }


def read_answer(kind: GateKind, body: bytes) -> tuple[bool, str]:
    """Yes or no, and why in one line. Raises GateFailed for whatever else was answered."""
    name = "rollback" if kind is GateKind.ROLLBACK else "approved"
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise GateFailed("its answer is no JSON") from None
    said = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(said, bool):
        raise GateFailed(f"its answer does not say {name}: true or false")
    return said, _one_line(answer.get("reason")) or NO_REASON


def _one_line(text: object) -> str:
    """Foreign words: one line of what can be shown."""
    if not isinstance(text, str):
        return ""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_REASON])
    return " ".join(shown.split())[:LONGEST_REASON]


def _fields(question: GateQuestion) -> dict[str, object]:
    return {"model": question.status.model, "run": question.status.run, "gate": question.kind.value}
