"""MLflow's own page of one model version, used as a model owner uses it: a browser, a dialog, a click.

The page of the *version* is meant, not that of the model: after a save the latter shows stale aliases, and
who then repeats the change takes the alias away (MLflow 3.17).

The browser lives in a thread of its own, because Playwright leaves an event loop running in the thread that
starts it, and no test could call `asyncio.run` there any more.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from playwright.sync_api import Browser, Error, Locator, Page, Playwright, expect, sync_playwright

T = TypeVar("T")
WINDOW_PX = (1280, 900)  # a laptop's: what a page says must stand there without scrolling
CLOSE_ASSISTANT = "mlflow.assistant.chat_panel.close"
REMOVE_CHIP = "modelversionaliastag.tsx_23.close"


class MlflowPageError(AssertionError):
    """MLflow's page did not show or do what was expected; the text says what, and where its picture lies."""


class MlflowPage:
    """A headless Chromium for one MLflow server, from `with` to its end; usable from any thread.

    `pictures` is where a failure leaves its screenshot (default: the system's temporary folder). Every method
    raises MlflowPageError when the page has not shown within `wait_s` what a person would look for.
    """

    def __init__(self, base_url: str, *, pictures: Path | None = None, wait_s: float = 20.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._wait_ms = wait_s * 1000.0
        self._pictures = pictures
        self._thread = ThreadPoolExecutor(1, "mlflow-page")

    def __enter__(self) -> Self:
        try:
            self._run(self._open_browser)
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run(self._close_browser)
        finally:
            self._thread.shutdown()

    def add_alias(self, model: str, version: str, alias: str) -> None:
        """Give the version an alias; MLflow takes it from the version that had it. Shown before this returns."""
        self._run(lambda: self._add(model, version, alias))

    def remove_alias(self, model: str, version: str, alias: str) -> None:
        """Take an alias that the version has; it is gone from the page before this returns."""
        self._run(lambda: self._remove(model, version, alias))

    def aliases(self, model: str, version: str) -> tuple[str, ...]:
        """The aliases that the version's page shows, loaded anew."""
        return self._run(lambda: self._aliases(model, version))

    def tags(self, model: str, version: str) -> Mapping[str, str]:
        """Name → value as the version's page prints them, loaded anew."""
        return self._run(lambda: self._tags(model, version))

    def first_screen(self, model: str, version: str | None, text: str, path: Path) -> bool:
        """Whether a text is to be seen where the page of a version, or of the model, opens; leaves a picture."""
        return self._run(lambda: self._first_screen(model, version, text, path))

    def screenshot(self, path: Path, *, showing: str = "") -> Path:
        """A PNG of the page as it stands, scrolled to the first element that reads exactly `showing`."""
        return self._run(lambda: self._screenshot(path, showing))

    def _run(self, step: Callable[[], T]) -> T:
        return self._thread.submit(step).result()

    # What follows runs in the browser's thread.

    def _open_browser(self) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise MlflowPageError("there is no `chromium` on the PATH; Debian's package of that name has it")
        self._playwright: Playwright = sync_playwright().start()
        try:
            self._browser: Browser = self._playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox"]
            )
            width, height = WINDOW_PX
            self._page: Page = self._browser.new_page(viewport={"width": width, "height": height})
            self._page.set_default_timeout(self._wait_ms)
        except BaseException:
            self._playwright.stop()
            raise

    def _close_browser(self) -> None:
        try:
            self._browser.close()
        finally:
            self._playwright.stop()

    def _add(self, model: str, version: str, alias: str) -> None:
        self._visit(model, version)
        if alias in _titles(_shown_aliases(self._page)):
            return  # typing it once more would take it away
        with self._looking_for(f"a way to add {alias} to version {version}"):
            dialog = self._alias_dialog()
            dialog.get_by_role("combobox").fill(alias)
            dialog.get_by_role("combobox").press("Enter")
            expect(_chip(dialog, alias)).to_be_visible(timeout=self._wait_ms)
            self._save(dialog)
        with self._looking_for(f"{alias} beside version {version} once saved"):
            expect(_chip(_shown_aliases(self._page), alias)).to_be_visible(timeout=self._wait_ms)

    def _remove(self, model: str, version: str, alias: str) -> None:
        self._visit(model, version)
        with self._looking_for(f"a way to take {alias} from version {version}"):
            dialog = self._alias_dialog()
            _chip(dialog, alias).locator(f'[data-component-id$="{REMOVE_CHIP}"]').click()
            expect(_chip(dialog, alias)).to_have_count(0, timeout=self._wait_ms)
            self._save(dialog)
        with self._looking_for(f"version {version} without {alias} once saved"):
            expect(_chip(_shown_aliases(self._page), alias)).to_have_count(0, timeout=self._wait_ms)

    def _aliases(self, model: str, version: str) -> tuple[str, ...]:
        self._visit(model, version)
        return _titles(_shown_aliases(self._page))

    def _tags(self, model: str, version: str) -> Mapping[str, str]:
        self._visit(model, version)
        rows = self._page.get_by_test_id("tags-section").locator("tr[data-row-key]")
        with self._looking_for(f"the tags of version {version}"):
            rows.first.wait_for()
            cells = [row.locator("td").all_inner_texts() for row in rows.all()]
        return {name.strip(): value.strip() for name, value, *_ in cells}

    def _first_screen(self, model: str, version: str | None, text: str, path: Path) -> bool:
        if version is not None:
            self._visit(model, version)
        else:
            self._visit_model(model)
        shown = self._page.get_by_text(text).first
        with self._looking_for(f"the text {text}"):
            shown.wait_for()
        self._page.screenshot(path=path)
        box, (_, height) = shown.bounding_box(), WINDOW_PX
        return box is not None and box["y"] + box["height"] <= height

    def _screenshot(self, path: Path, showing: str) -> Path:
        if showing:
            with self._looking_for(f"the text {showing}"):
                self._page.get_by_text(showing, exact=True).first.scroll_into_view_if_needed()
        self._page.screenshot(path=path)
        return path

    def _visit(self, model: str, version: str) -> None:
        """Load the page whole: with only its fragment changed, the browser would keep what it had read."""
        with self._looking_for(f"the page of version {version} of {model}"):
            self._page.goto("about:blank")
            self._page.goto(f"{self._base_url}/#/models/{quote(model, safe='')}/versions/{quote(version)}")
            self._page.get_by_role("heading", name=f"Version {version}", exact=True).wait_for()
            _alias_button(self._page).wait_for()
            self._close_assistant()

    def _visit_model(self, model: str) -> None:
        with self._looking_for(f"the page of {model}"):
            self._page.goto("about:blank")
            self._page.goto(f"{self._base_url}/#/models/{quote(model, safe='')}")
            self._page.get_by_role("heading", name=model, exact=True).wait_for()
            self._close_assistant()

    def _close_assistant(self) -> None:
        """MLflow opens a panel beside the page of who comes for the first time."""
        close = self._page.locator(f'[data-component-id="{CLOSE_ASSISTANT}"]')
        if close.is_visible():
            close.click()
            expect(close).to_be_hidden(timeout=self._wait_ms)

    def _alias_dialog(self) -> Locator:
        _alias_button(self._page).click()
        dialog = self._page.get_by_role("dialog").filter(has_text="alias for model version")
        dialog.wait_for()
        return dialog

    def _save(self, dialog: Locator) -> None:
        dialog.get_by_role("button", name="Save aliases").click()
        expect(dialog).to_be_hidden(timeout=self._wait_ms)

    @contextmanager
    def _looking_for(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Error, AssertionError) as error:
            raise MlflowPageError(f"MLflow shows no sign of {what}; {self._evidence()}") from error

    def _evidence(self) -> str:
        try:
            picture = self._page.screenshot(timeout=60_000)  # however little the page was waited for
        except Error:
            return "its picture could not be taken"
        with tempfile.NamedTemporaryFile(
            prefix="mlflow-page-", suffix=".png", dir=self._pictures, delete=False
        ) as file:
            file.write(picture)
        return f"see {file.name}"


def _shown_aliases(page: Page) -> Locator:
    """The field beside `Aliases:` in the head of the page."""
    return page.get_by_test_id("descriptions-item").filter(has_text="Aliases")


def _alias_button(page: Page) -> Locator:
    """It reads `Add` while the version has no alias, and is a pencil afterwards."""
    field = _shown_aliases(page)
    return field.get_by_title("Add aliases", exact=True).or_(field.get_by_title("Edit aliases", exact=True))


def _chip(area: Locator, alias: str) -> Locator:
    return area.get_by_role("status").and_(area.get_by_title(alias, exact=True))


def _titles(aliases: Locator) -> tuple[str, ...]:
    chips = aliases.get_by_role("status").all()
    return tuple(chip.get_attribute("title") or "" for chip in chips)
