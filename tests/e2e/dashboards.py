"""Opens dashboards in headless Chromium as a person would, and says what each chart shows.

Used by the tests of a Superset without containers and by the end-to-end test of the stack.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from boards.about import with_about
from boards.catalog import read_catalog
from boards.files import read_dashboards

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
CHART = '[data-test="slice-container"]'
CHART_XPATH = '@data-test="slice-container"'
LOADING = '[data-test="loading-indicator"], .loading'
ERRORS = '[data-test="ErrorAlert"], .ant-alert-error, .missing-chart-container, .ant-empty'
#: What Superset says where a query gave no row.
NO_DATA = "No results were returned for this query"
WAIT_SECONDS = 90


@dataclass(frozen=True)
class OpenedDashboard:
    slug: str
    charts: int
    errors: list[str]
    empty: list[str]
    outside_requests: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)


def bundled_dashboards() -> dict[str, int]:
    """Slug of each dashboard that every viewer may open, and how many charts it holds."""
    catalog = read_catalog()
    return {
        dashboard.name: len(with_about(dashboard, catalog).charts())
        for dashboard in read_dashboards(ROOT / "superset/dashboards")
        if not catalog[dashboard.mart].restricted
    }


@contextmanager
def browser(address: str, *, width: int = 1500, height: int = 1100) -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        context = chromium.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.set_default_timeout(WAIT_SECONDS * 1000)
        yield page
        context.close()
        chromium.close()


def log_in(page: Page, address: str, user: str, password: str) -> None:
    page.goto(f"{address}/login/")
    page.fill("input#username, input[name=username]", user)
    page.fill("input#password, input[name=password]", password)
    page.click("button[type=submit], input[type=submit]")
    page.wait_for_url(lambda url: "/login" not in url)


def open_dashboard(
    page: Page, address: str, slug: str, expected: int, screenshot: Path | None = None
) -> OpenedDashboard:
    """Open a dashboard, scroll through it, wait until every chart has drawn."""
    outside: set[str] = set()
    failed: list[str] = []

    def note_request(request: Any) -> None:
        # What the content security policy stopped (Superset's usage pixel) never left the browser.
        if not request.url.startswith((address, "data:", "blob:")) and request.failure != "csp":
            outside.add(f"{request.url.split('?')[0]} {request.failure or ''}")

    def note_response(response: Any) -> None:
        # Whoever opens a dashboard offers to store its colours; a viewer may not, and nobody sees it.
        if response.status >= 400 and "/colors" not in response.url:
            failed.append(f"{response.status} {response.url.split('?')[0]}")

    page.on("requestfinished", note_request)
    page.on("requestfailed", note_request)
    page.on("response", note_response)
    page.goto(f"{address}/superset/dashboard/{slug}/")
    page.wait_for_selector(CHART)
    _wait_until_drawn(page, expected)
    page.remove_listener("requestfinished", note_request)
    page.remove_listener("requestfailed", note_request)
    page.remove_listener("response", note_response)
    holders = page.locator(CHART)
    texts = [holders.nth(index).inner_text() for index in range(holders.count())]
    errors = _errors(page)
    if screenshot is not None:
        screenshot.parent.mkdir(parents=True, exist_ok=True)
        height = int(
            page.evaluate("document.querySelector('.dashboard-content, #app').scrollHeight")
        )
        before = page.viewport_size
        page.set_viewport_size({"width": 1500, "height": min(max(height + 250, 1100), 4000)})
        _wait_until_drawn(page, expected)
        page.screenshot(path=screenshot, full_page=True)
        if before:
            page.set_viewport_size(before)
    return OpenedDashboard(
        slug,
        len(texts),
        errors,
        [text.splitlines()[0] for text in texts if NO_DATA in text],
        sorted(outside),
        failed,
    )


def _wait_until_drawn(page: Page, expected: int) -> None:
    """Scroll through the dashboard until each chart is there and none is loading."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        # Charts outside the window are drawn when they come into view.
        page.evaluate(
            "document.querySelectorAll('.dashboard-component-chart-holder').forEach("
            "e => e.scrollIntoView())"
        )
        page.wait_for_timeout(500)
        if page.locator(CHART).count() >= expected and not page.locator(LOADING).count():
            break
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # the drawing animation of the charts


def _errors(page: Page) -> list[str]:
    """What the page shows as an error. A chart that says it has no rows is none."""
    found = []
    for item in page.locator(ERRORS).all():
        chart = item.locator(f"xpath=ancestor::*[{CHART_XPATH}][1]")
        around = chart.inner_text() if chart.count() else item.inner_text()
        if NO_DATA not in around:
            found.append((item.inner_text() or around)[:200])
    return found
