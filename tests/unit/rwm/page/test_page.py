"""The page: valid HTML, complete in itself, and every name stays text."""

from __future__ import annotations

import re
from pathlib import Path

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rwm.page
from rwm import console
from rwm.page import PageText
from rwm.page.page import FINDINGS_SHOWN
from tests.unit.rwm.page.reports import HOSTILE, TEXT, attacked_report, clean_report, empty_report, page_of

ATTACKED = attacked_report(*HOSTILE)
REPORTS = {"attacked": ATTACKED, "clean": clean_report(), "empty": empty_report()}


def elements(page: str) -> list[str]:
    """The names of all elements; raises ParseError for anything that is not valid."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    return [str(element.tag) for element in tree.iter()]


@pytest.mark.parametrize("name", REPORTS)
def test_a_strict_parser_accepts_the_page(name: str) -> None:
    assert elements(page_of(REPORTS[name]))[0] == "html"


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_loaded_and_nothing_runs(name: str) -> None:
    page = page_of(REPORTS[name])
    names = {re.sub(r"^\{.*\}", "", tag) for tag in elements(page)}
    assert not names & {"script", "img", "image", "link", "iframe", "object", "embed", "base", "form", "a", "use"}
    tags = re.findall(r"<[a-zA-Z][^>]*>", page)
    assert not [tag for tag in tags if re.search(r"\s(on\w+|src|href|style)=", tag)]
    assert not re.search(r"url\(|@import", page)
    assert "default-src 'none'" in page


def test_hostile_names_add_no_element() -> None:
    harmless = attacked_report(*(f"name{number}" for number in range(len(HOSTILE))))
    assert elements(page_of(ATTACKED)) == elements(page_of(harmless))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_escaped(name: str) -> None:
    page = page_of(attacked_report(name, backups=9))
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    shown = ["".join(cell.itertext()) for cell in tree.iter("td") if cell.get("class") == "name"]
    expected = console.escape("data/" + name)
    assert [text for text in shown if text == expected or (len(expected) > 200 and text[:150] == expected[:150])]


@settings(max_examples=30)
@given(st.text(st.characters(), min_size=1))
def test_no_text_leaves_its_place(text: str) -> None:
    """Sentences may name a location, whose prefix an attacker may have chosen."""
    report = empty_report()
    page = page_of(report, PageText(text, [text], ["x" + text, "  " + text]))
    assert elements(page) == elements(page_of(report, PageText("x", ["x"], ["x", "  x"])))
    visible = page[page.index("<body>") :].replace("\n", "").replace("\u202f", "")
    assert visible.isprintable()
    page.encode()


def test_counts_and_what_is_not_shown() -> None:
    report = attacked_report()
    page = page_of(report)
    removals = report.counts["unlocked-removal"]
    assert f"{removals} ×" in page
    assert f"and {removals - FINDINGS_SHOWN} more" in page
    assert page.count("removed while no restic held a lock</td>") == 0
    assert page.count("removed while no restic held a lock\n") == FINDINGS_SHOWN


def test_the_verdict_the_last_clean_state_and_the_commands() -> None:
    report = attacked_report()
    page = page_of(report)
    assert report.last_clean
    assert f"{TEXT.sentence}." in page
    assert "Proofs found" in page
    assert page.count('<tr class="last-clean">') == 1
    assert report.last_clean.short in page
    assert "<pre><code>rwmfs mount bucket1 --at 0123 /mnt/repo</code></pre>" in page
    assert "RWM 2.0.0" in page


def test_a_clean_bucket() -> None:
    page = page_of(clean_report())
    assert '<header class="verdict clean">' in page
    assert "Nothing that restic does not do itself." in page


def test_a_bucket_without_states_and_changes_has_no_timeline() -> None:
    page = page_of(empty_report())
    assert '<h2 id="timeline"' not in page
    assert "No state is recorded" in page


def test_the_same_report_gives_the_same_page() -> None:
    assert page_of(attacked_report()) == page_of(attacked_report())


# --- colours -----------------------------------------------------------------------------------------

CSS = (Path(rwm.page.__file__).parent / "templates" / "audit.css").read_text()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``#rrggbb``."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("block", range(3), ids=["light", "dark", "print"])
def test_contrast_is_that_of_wcag(block: int) -> None:
    root = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[block]
    found = dict(re.findall(r"--([\w-]+): #(\w+);", root))
    colours = {name: "#" + (d if len(d) == 6 else "".join(2 * c for c in d)) for name, d in found.items()}
    texts = [(text, back) for text in ("text", "muted") for back in ("page", "card", "code", "green-soft")]
    texts += [(tone, back) for tone in ("red", "amber", "green") for back in ("card", f"{tone}-soft")]
    assert not [pair for pair in texts if contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    assert not [mark for mark in ("blue", "orange") if contrast(colours[mark], colours["card"]) < 3]
