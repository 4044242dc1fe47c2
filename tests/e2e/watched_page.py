"""A page in Chromium of which everything that must not happen is remembered."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 1024}


class WatchedPage:
    """A page and its complaints: errors, warnings, and requests to anywhere else."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self._on_request(request.url))

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def check(self) -> None:
        """Fail if a rule of accessibility is broken."""
        found: Any = Axe().run(self.page)
        assert found.violations_count == 0, f"{self.page.url}:\n{found.generate_report()}"

    def keep(self, name: str, *, full: bool = False) -> None:
        directory = os.environ.get("PICTURES_DIRECTORY")
        if directory:
            self.page.screenshot(path=Path(directory, f"{name}.png"), full_page=full)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console: {message.text}")

    def _on_request(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.base).netloc:
            self.complaints.append(f"asked {url}")


@contextmanager
def watched(
    browser: Browser,
    base: str,
    *,
    may_fail: bool = False,
    **options: Any,  # noqa: ANN401
) -> Iterator[WatchedPage]:
    """Yield a page; fail at its end if it complained, unless the test makes requests fail."""
    context = browser.new_context(**{"viewport": WIDE, "timezone_id": "UTC", **options})
    seen = WatchedPage(context.new_page(), base)
    yield seen
    context.close()
    assert may_fail or not seen.complaints
