"""Opens a page that a command has written in the person's browser, where there is one with windows."""

from __future__ import annotations

import webbrowser
from pathlib import Path


def open_page(page: Path) -> bool:
    """Whether a browser was started. One that would take over the terminal (lynx, w3m) is not."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if type(browser) is webbrowser.GenericBrowser:  # how Python registers those of a terminal
        return False
    return browser.open(page.resolve().as_uri())
