"""MLflow's own webhook, as it really arrives: signed, within a second, and from one subscription."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from registry.client import ModelVersion, RegistryClient, RegistryRefused
from registry.webhook import webhook_fault
from registry.webhook_subscription import NAME, name_of_site, subscribe

SECRET = "a webhook secret"
Arrival = tuple[dict[str, str], bytes]


@pytest.fixture
def receiver() -> Iterator[tuple[str, queue.Queue[Arrival]]]:
    arrived: queue.Queue[Arrival] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", arrived
        server.shutdown()


def test_a_moved_alias_arrives_signed(
    client: RegistryClient, tiny: ModelVersion, receiver: tuple[str, queue.Queue[Arrival]]
) -> None:
    url, arrived = receiver
    assert subscribe(client, url, SECRET)
    assert not subscribe(client, url, SECRET), "the second time there is nothing to do"
    client.set_alias(tiny.name, "shadow-webhook", tiny.version)
    headers, body = arrived.get(timeout=15)
    client.delete_alias(tiny.name, "shadow-webhook")
    assert webhook_fault(SECRET, headers, body, datetime.now(UTC)) is None
    assert webhook_fault("another", headers, body, datetime.now(UTC)) is not None


def test_sites_that_share_a_registry_leave_each_others_subscription_alone(client: RegistryClient) -> None:
    secrets = ("one site's secret", "another's")
    for secret in secrets:
        assert subscribe(client, "http://127.0.0.1:1/a", secret, name_of_site(secret))
    for secret in secrets:
        assert not subscribe(client, "http://127.0.0.1:1/a", secret, name_of_site(secret))


def test_an_address_that_mlflow_does_not_allow_is_refused_and_no_outage(client: RegistryClient) -> None:
    with pytest.raises(RegistryRefused):
        subscribe(client, "ftp://127.0.0.1/a", "a secret", "not allowed")


def test_another_address_or_secret_replaces_the_subscription(client: RegistryClient) -> None:
    subscribe(client, "http://127.0.0.1:1/a", SECRET)
    assert subscribe(client, "http://127.0.0.1:1/b", SECRET)
    assert subscribe(client, "http://127.0.0.1:1/b", "another secret")
    assert [each["url"] for each in client.webhooks() if each["name"] == NAME] == ["http://127.0.0.1:1/b"]
