"""What the API tells of a rollout, in words for a terminal and for one line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from serve_apps.cli.percent import in_percent

Document = Mapping[str, Any]


def plain(text: object) -> str:
    """A text in one line that moves no cursor: what people wrote may hold anything."""
    return "".join(one if one.isprintable() else " " for one in str(text))


def minute_of(at: str) -> str:
    """A time of the API to the minute, in UTC."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def gate_in_words(gate: Document | None) -> str:
    """What a rollout waits for, from a GateOut."""
    if gate is None:
        return "nothing: it has ended"
    asked = ", ".join(map(plain, gate["metrics"]))
    match gate["kind"]:
        case "person":
            return "a person: resume or abort"
        case "approval":
            return _approval(gate)
        case "studies":
            more = f", then evidence of {asked}" if asked else ""
            return f"studies: {gate['studies']} of {gate['studies_needed']} in this step{more}"
        case "evidence":
            return f"evidence of {asked}" if asked else "the next look: its evidence is there"
        case "time":
            until = "its time" if gate["until"] is None else f"the time, until {minute_of(gate['until'])}"
            return f"{until}, then evidence of {asked}" if asked else until
        case "routers":
            return "the routers, until what is asked is in force"
        case "promotion":
            return "the promotion"
        case "way-back":
            return "the way back, until the candidate answers nobody"
    return plain(gate["kind"])


def _approval(gate: Document) -> str:
    roles = " and ".join(map(plain, gate["roles"]))
    people = f"{gate['people']} more {'person' if gate['people'] == 1 else 'people'}"
    return f"the approval of {roles}: {people}" if roles else f"the approval of {people}"


def expected_in_words(expectation: Document) -> str:
    """A date with what has to be so for it, or why there is none; from an ExpectationOut."""
    reason = plain(expectation["reason"])
    if expectation["at"] is None:
        return f"no date: {reason}"
    return f"about {minute_of(expectation['at'])}, {reason}"


def state_line(answer: Document) -> str:
    """Where a rollout stands, without a time, in one line."""
    step = f"step {answer['step']} of {answer['steps']}"
    return _line(answer, f"{answer['phase']} {step}", answer["reason"])


def event_line(answer: Document, event: Document) -> str:
    """One change of a rollout, in one line."""
    step = f"step {event['step']} of {answer['steps']}"
    told = f"{plain(event['actor'])}: {event['reason']}"
    return _line({**answer, "weight_bp": event["weight_bp"]}, f"{event['phase']} {step}", told)


def _line(answer: Document, state: str, reason: str) -> str:
    return f"run {answer['run']} {state} {in_percent(answer['weight_bp'])} {plain(reason)}"
