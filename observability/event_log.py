"""Logs as JSON events with fields, scrubbed on their way out; also for loggers that are not ours."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from observability.redaction import is_patient_field, scrub, scrub_value

# They write request paths, which hold UIDs, to handlers of their own.
FOREIGN_LOGGERS: Final = (
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "ray",
    "ray.serve",
    "httpx",
    "httpcore",
    "urllib3",
    "pydicom",
    "mlflow",
)
# A line per request, which names a study, and which nobody reads.
REQUEST_LOGGERS: Final = ("httpx", "httpcore")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class RedactingFilter(logging.Filter):
    """Scrubs a record in place: message, arguments, extra fields, exception and stack text. Drops nothing.

    Arguments keep their number, and numbers their type: uvicorn's access formatter unpacks five of them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.args = _scrub_args(record.args)
        message = _message(record)
        clean = scrub(message)
        if clean != message or not _fits(record):
            record.msg, record.args = clean, ()  # the datum stands in the text, or comes together only there
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = scrub(record.exc_text) if record.exc_text else record.exc_text
        record.stack_info = scrub(record.stack_info) if record.stack_info else record.stack_info
        for name, value in _extra(record):
            setattr(record, name, "[patient]" if is_patient_field(name) else scrub_value(value))
        return True


def is_no_access(record: logging.LogRecord) -> bool:
    """A filter for Serve's logger: its access log is off, and should then cost nothing either."""
    return not getattr(record, "serve_access_log", False)


class EventFormatter(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `event`, then the fields given as `extra`.

    It scrubs by itself, so that it is safe also behind a handler without the filter.
    """

    def format(self, record: logging.LogRecord) -> str:
        RedactingFilter().filter(record)
        event: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        event |= {name: value for name, value in _extra(record) if name not in event}
        if record.exc_text:
            event["exception"] = record.exc_text
        if record.stack_info:
            event["stack"] = record.stack_info
        return json.dumps(event, ensure_ascii=False, default=str)


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send this process's logs as JSON events to `stream` (stderr by default). Twice is harmless."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(EventFormatter())
    handler.addFilter(RedactingFilter())
    handler.set_name("serinus-events")
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == "serinus-events"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in REQUEST_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    serve = logging.getLogger("ray.serve")
    if is_no_access not in serve.filters:
        serve.filters.insert(0, is_no_access)  # before what is scrubbed
    guard_loggers()


def guard_loggers(names: Iterable[str] = FOREIGN_LOGGERS) -> None:
    """Put the filter on these loggers and on the handlers they have now; once each, however often called."""
    for name in names:
        logger = logging.getLogger(name)
        for place in (logger, *logger.handlers):
            if not any(isinstance(f, RedactingFilter) for f in place.filters):
                place.addFilter(RedactingFilter())


def _message(record: logging.LogRecord) -> str:
    return record.getMessage() if _fits(record) else str(record.msg)


def _fits(record: logging.LogRecord) -> bool:
    """Whether the arguments fit the format. logging prints them raw when they do not."""
    try:
        record.getMessage()
    except (TypeError, ValueError, KeyError):
        return False
    return True


def _scrub_args(args: object) -> tuple[object, ...] | Mapping[str, object] | None:
    if args is None:
        return None
    if isinstance(args, Mapping):
        return {str(k): "[patient]" if is_patient_field(str(k)) else scrub_value(v) for k, v in args.items()}
    return tuple(scrub_value(a) for a in args) if isinstance(args, tuple) else (scrub_value(args),)


def _extra(record: logging.LogRecord) -> list[tuple[str, object]]:
    return [(k, v) for k, v in vars(record).items() if k not in _STANDARD and not k.startswith("_")]
