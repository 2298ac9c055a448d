# SPDX-License-Identifier: BSD-3-Clause
"""The page in headless Chromium: pictures shown, nothing logged, nothing fetched, everything works."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from report_content import build_content

from cryolith.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("name with spaces & ü")
    write_report(build_content(), folder)
    return folder / "report.html"


@pytest.fixture
def page(driver: Any, report: Path) -> Any:
    """The page, freshly opened at 1280 px, motion reduced so that it stands still."""
    _media(driver, ("prefers-reduced-motion", "reduce"))
    _size(driver, 1280)
    driver.get(report.as_uri())
    return driver


def _media(driver: Any, *features: tuple[str, str], media: str = "") -> None:
    made = [{"name": name, "value": value} for name, value in features]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": made})


def _size(driver: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_all_pictures_show_and_nothing_is_logged_or_fetched(driver, report):
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(report.as_uri())
    images = driver.execute_script(
        "return [...document.images].map(i => [i.alt, i.complete, i.naturalWidth])"
    )
    assert len(images) > 25
    assert [i for i in images if not (i[0] and i[1] and i[2] > 0)] == []
    diagrams = driver.execute_script(
        "return [...document.querySelectorAll('.diagram svg')].map(s => {"
        "const b = s.getBoundingClientRect(); return [b.width, b.height, s.innerHTML.length]})"
    )
    assert len(diagrams) == 8
    assert all(w > 300 and h > 100 and n > 2000 for w, h, n in diagrams)
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked.count(report.as_uri()) == 1
    assert [url for url in asked if url != report.as_uri() and not url.startswith("data:")] == []
    assert [e for e in events if e["method"] == "Network.loadingFailed"] == []


def test_the_verdict_is_the_first_thing_seen(page):
    word = page.find_element("css selector", "#verdict .word")
    assert word.is_displayed()
    assert word.text == "OK"
    assert word.location["y"] < 300
    tiles = page.find_elements("css selector", "#verdict .checks li")
    assert [t.is_displayed() for t in tiles] == [True] * 3
    assert all(t.location["y"] + t.size["height"] < 900 for t in tiles)


def test_the_series_plays_steps_and_follows_the_thumbnails(page):
    def angle() -> str:
        return page.find_element("id", "angle").text

    assert angle() == "0°"
    page.find_element("css selector", ".thumbnail[data-frame='3']").click()
    assert angle() == "-42°"
    assert page.find_element("css selector", ".left-out").is_displayed()
    page.execute_script(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    )
    assert angle() == "-36°"
    assert not page.find_element("css selector", ".left-out").is_displayed()
    before = page.execute_script("return document.querySelector('.sheet').style.transform")
    page.find_element("id", "play").click()
    for _ in range(50):
        time.sleep(0.05)
        if angle() != "-36°":
            break
    assert angle() != "-36°"
    assert page.execute_script("return document.querySelector('.sheet').style.transform") != before


def test_a_click_on_a_heading_sorts_the_rows(page):
    def sizes() -> list[float]:
        cells = page.find_elements("css selector", "td[data-column='volume_nm3']")
        rows = [c for c in cells if c.find_element("xpath", "../../..").get_attribute("data-table")]
        return [float(c.get_attribute("data-value")) for c in rows][-2:]

    heads = page.find_elements("css selector", "table[data-table='particles'] th")
    head = next(h for h in heads if h.text.startswith("volume"))
    assert sizes() == [960.0, 320.0]
    head.click()
    assert sizes() == [320.0, 960.0]
    head.click()
    assert sizes() == [960.0, 320.0]
    assert head.get_attribute("aria-sort") == "descending"


def test_what_was_found_can_be_hidden(page):
    outline = page.find_element("css selector", ".ortho .found.particle")
    assert outline.is_displayed()
    page.find_element("id", "show-found").click()
    assert not outline.is_displayed()


def test_a_phone_shows_it_without_scrolling_sideways(page):
    _size(page, 390)
    widths = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1] == 390


def test_dark_mode_turns_the_page_dark_and_its_text_light(page):
    def lightness(property_: str) -> float:
        text = page.find_element("css selector", "body").value_of_css_property(property_)
        numbers = text[text.index("(") + 1 : -1].split(",")[:3]
        return sum(float(v) for v in numbers) / 3

    _media(page, ("prefers-color-scheme", "light"))
    assert lightness("background-color") > 200 > 60 > lightness("color")
    _media(page, ("prefers-color-scheme", "dark"))
    assert lightness("background-color") < 60 < 200 < lightness("color")


def test_it_prints(page):
    _media(page, media="print")
    assert not page.find_element("css selector", ".controls").is_displayed()
    assert page.find_element("css selector", ".movies").is_displayed()
    _size(page, 718)  # A4 less its margins
    assert page.execute_script("return document.documentElement.scrollWidth") <= 718
    _media(page)
    pdf = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    assert pdf.startswith("JVBERi0")  # %PDF-
    assert len(pdf) > 100_000
