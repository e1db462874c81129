"""A registry of the site's own is subscribed to; one that does not allow it is an alarm that says what to do."""

from __future__ import annotations

from core.errors import RegistryUnavailable
from registry.client import RegistryRefused
from serve_apps.control.subscription import RegistrySubscription
from serve_apps.settings import Settings
from tests.unit.shell.inline import Here


class FakeRegistry:
    """Takes a subscription, or raises `error`."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def subscribe(self) -> bool:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return True


async def test_a_registry_that_takes_it_raises_no_alarm() -> None:
    registry = FakeRegistry()
    subscription = RegistrySubscription(registry.subscribe, "https://ai.hospital/hook", Here())
    assert (await subscription.look(), subscription.alarms, registry.asked) == (True, {}, 1)


async def test_one_that_does_not_allow_it_is_an_alarm_until_it_does() -> None:
    registry = FakeRegistry()
    subscription = RegistrySubscription(registry.subscribe, "http://10.0.0.7:8000/hook", Here())
    registry.error = RegistryRefused("MLflow refused the request as malformed")
    assert not await subscription.look()
    assert "does not take the webhook to http://10.0.0.7:8000/hook" in subscription.alarms["registry webhook"]
    registry.error = None
    assert (await subscription.look(), subscription.alarms) == (True, {})


async def test_one_that_is_away_or_answers_nonsense_is_asked_again_without_an_alarm() -> None:
    registry = FakeRegistry()
    subscription = RegistrySubscription(registry.subscribe, "https://ai.hospital/hook", Here())
    for registry.error in (RegistryUnavailable("MLflow does not answer"), KeyError("webhook_id")):
        assert (await subscription.look(), subscription.alarms) == (False, {})


def test_the_webhook_leads_to_where_the_registry_reaches_this_api() -> None:
    assert Settings(api_port=8123).webhook_url == "http://127.0.0.1:8123/v1/webhooks/mlflow"
    outside = Settings(public_url="https://ai.hospital/")
    assert outside.webhook_url == "https://ai.hospital/v1/webhooks/mlflow"
