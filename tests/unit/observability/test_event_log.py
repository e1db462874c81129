"""A log line is a JSON event without a patient, whoever wrote it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from uvicorn.logging import AccessFormatter

from observability.event_log import EventFormatter, RedactingFilter, configure_logging, guard_loggers

UID = "1.2.840.113619.2.55.3.604688119"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    buffer = io.StringIO()
    configure_logging("debug", buffer)
    yield buffer
    root.handlers[:] = handlers
    root.setLevel(level)


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_carries_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("serinus.test").info("rollout.transition", extra={"weight_bp": 500, "model": "ich"})
    [event] = events(stream)
    assert event["event"] == "rollout.transition"
    assert event["level"] == "info"
    assert event["weight_bp"] == 500
    assert event["model"] == "ich"


def test_arguments_fields_exceptions_and_their_causes_are_scrubbed(stream: io.StringIO) -> None:
    log = logging.getLogger("serinus.test")
    try:
        try:
            raise ValueError(f"invalid value for PN: 'DOE^JANE' in {UID}")
        except ValueError as cause:
            raise RuntimeError(f"study {UID}") from cause
    except RuntimeError:
        log.exception(
            "study %s of %s", UID, "DOE^JANE", extra={"url": f"/studies/{UID}", "patient_id": "MRN77"}
        )
    text = stream.getvalue()
    assert "RuntimeError" in text
    assert not [datum for datum in (UID, "DOE", "JANE", "MRN77") if datum in text]


def test_a_datum_that_comes_together_only_in_the_finished_line_is_scrubbed(stream: io.StringIO) -> None:
    logging.getLogger("serinus.test").info("%s^%s", "DOE", "JANE")
    assert events(stream)[0]["event"] == "[name]"


def test_arguments_that_do_not_fit_the_format_are_never_printed() -> None:
    record = logging.makeLogRecord({"msg": "%d studies", "args": (f"study {UID}", "DOE", "JANE")})
    line = EventFormatter().format(record)
    assert json.loads(line)["event"] == "%d studies"
    assert record.args == ()


def test_an_object_given_as_argument_is_scrubbed_as_text(stream: io.StringIO) -> None:
    class Url:
        def __str__(self) -> str:
            return f"https://pacs.example/studies/{UID}?PatientID=77"

    logging.getLogger("urllib3").info('HTTP Request: %s %s "%s %d %s"', "GET", Url(), "HTTP/1.1", 200, "OK")
    assert events(stream)[0]["event"] == (
        'HTTP Request: GET https://pacs.example/studies/[uid]?[query] "HTTP/1.1 200 OK"'
    )


def test_no_line_is_written_for_a_request(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://pacs.example/studies/1 200 OK")
    assert stream.getvalue() == ""
    serve = logging.getLogger("ray.serve")
    assert not serve.filter(logging.makeLogRecord({"msg": "CALL run OK 3.1ms", "serve_access_log": True}))
    assert serve.filter(logging.makeLogRecord({"msg": "a replica has started"}))


def test_uvicorns_access_log_keeps_its_form_without_the_uid() -> None:
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(
        AccessFormatter("%(client_addr)s %(request_line)s %(status_code)s", use_colors=False)
    )
    access = logging.getLogger("uvicorn.access")
    access.addHandler(handler)
    try:
        guard_loggers()
        path = f"/dicom-web/studies/{UID}?PatientName=DOE^JANE"
        access.warning('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5000", "GET", path, "1.1", 200)
    finally:
        access.removeHandler(handler)
    assert buffer.getvalue() == "127.0.0.1:5000 GET /dicom-web/studies/[uid]?[query] HTTP/1.1 200 OK\n"


def test_serves_access_line_and_route_are_scrubbed() -> None:
    record = logging.makeLogRecord(
        {"name": "ray.serve", "msg": f"POST /dicom-web/studies/{UID} 200 3.1ms", "route": f"/studies/{UID}"}
    )
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "POST /dicom-web/studies/[uid] 200 3.1ms"
    assert record.route == "/studies/[uid]"


def test_the_formatter_is_safe_without_the_filter() -> None:
    record = logging.makeLogRecord({"msg": f"study {UID}", "stack_info": f"at {UID}"})
    assert UID not in EventFormatter().format(record)


def test_configuring_twice_writes_each_event_once(stream: io.StringIO) -> None:
    configure_logging("info", stream)
    logging.getLogger("serinus.test").info("once")
    assert len(events(stream)) == 1


def test_guarding_twice_adds_one_filter() -> None:
    guard_loggers(["serinus.guarded"])
    guard_loggers(["serinus.guarded"])
    assert len(logging.getLogger("serinus.guarded").filters) == 1
