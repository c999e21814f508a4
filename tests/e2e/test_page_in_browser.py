"""The page of an audit in Chromium: nothing runs, nothing is requested, and it fits dark rooms, phones and paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from rwm import console
from rwm.page import write_page
from tests.unit.rwm.page.reports import HOSTILE, attacked_report, page_of

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all

DESKTOP, PHONE = (1200, 900), (390, 844)
_NO_SANDBOX = "--no-sandbox"  # root may not use it


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "make install-dev installs chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[_NO_SANDBOX])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an attacked bucket with hostile names."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, page_of(attacked_report(*HOSTILE)))
    return path


@contextmanager
def opened(browser: Browser, file: Path, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Iterator[Page]:
    """The page in a tab of a size; fails if it runs, logs or requests anything."""
    events: list[str] = []
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.on("console", lambda message: events.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: events.append(f"error: {error}"))
    page.on("dialog", lambda dialog: events.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: events.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert events == [file.as_uri()]


def test_hostile_names_are_text(browser: Browser, file: Path) -> None:
    with opened(browser, file) as page:
        shown = page.locator("td.name").all_text_contents()
        for name in (name for name in HOSTILE if len(name) < 200):
            assert any(text.endswith(f"/{console.escape(name)}") for text in shown), name
        assert page.locator("script, img, iframe, svg svg").count() == 0


def test_light_and_dark(browser: Browser, file: Path) -> None:
    colours = []
    for dark in (False, True):
        with opened(browser, file, dark=dark) as page:
            colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert len(page.screenshot()) > 10_000
    assert colours == ["rgb(243, 245, 248)", "rgb(15, 19, 25)"]


@pytest.mark.parametrize(("size", "chart"), [(DESKTOP, "wide"), (PHONE, "narrow")])
def test_the_page_fits_and_has_one_timeline(browser: Browser, file: Path, size: tuple[int, int], chart: str) -> None:
    with opened(browser, file, size) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        images = page.get_by_role("img", name="Bytes, files, changes, findings and states of bucket1 over time")
        assert [image.get_attribute("class") for image in images.all()] == [f"chart {chart}"]
        assert page.get_by_role("heading", level=1).count() == 1
        headings = ["What to do", "Timeline", "Findings", "States"]
        assert page.get_by_role("heading", level=2).all_text_contents() == headings
        assert page.locator("th:not([scope])").count() == 0


def test_the_page_prints(browser: Browser, file: Path) -> None:
    with opened(browser, file, PHONE, dark=True) as page:
        paper = page.pdf(format="A4")
        page.emulate_media(media="print")
        assert page.locator(".chart.wide").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert paper.startswith(b"%PDF")
    assert len(paper) > 10_000
