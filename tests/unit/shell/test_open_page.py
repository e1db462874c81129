"""A page is opened by a browser with windows, and by no other."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from serve_apps.cli.open_page import open_page

PAGE = Path("/state/rollout-demo/run-6.evidence.html")


class Windows(webbrowser.BaseBrowser):
    def __init__(self, opens: bool = True) -> None:
        super().__init__("windows")
        self._opens = opens
        self.opened: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        return self._opens


@pytest.mark.parametrize("opens", [True, False])
def test_a_browser_with_windows_opens_it(monkeypatch: pytest.MonkeyPatch, opens: bool) -> None:
    browser = Windows(opens)
    monkeypatch.setattr(webbrowser, "get", lambda: browser)
    assert open_page(PAGE) is opens
    assert browser.opened == ["file:///state/rollout-demo/run-6.evidence.html"]


def test_a_browser_of_the_terminal_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))
    assert not open_page(PAGE)


def test_without_any_browser_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> object:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert not open_page(PAGE)
