# SPDX-License-Identifier: BSD-3-Clause
"""The overview of many series: rows read from runs, and the page in headless Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cryolith.errors import InputError
from cryolith.report import OverviewRow, row_of_run, write_overview


@pytest.fixture(scope="module")
def rows(tiny_run: Path) -> list[OverviewRow]:
    """A finished run under several names and with other numbers, one set aside, one on its way."""
    return [
        row_of_run(tiny_run, "ts_2", link="ts 2/report.html", attempts=2),
        row_of_run(tiny_run, "ts_10", link="ts_10/report.html", residual=0.21, state="look",
                   reason="Held-out residual: 0.21 of the signal"),
        row_of_run(tiny_run, "<b>&odd", link="o/report.html", residual=0.5, state="bad", thickness=9.0),
        OverviewRow(name="cut", state="failed", reason="cut.mrc: found 3 bytes, expected 12"),
        OverviewRow(name="now", state="running", alerts=("tilt 3 is blank",)),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page(rows: list[OverviewRow], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("over view & ü")
    write_overview(folder / "overview.html", rows, title="raw/*.mrc", lead="A session.")
    for row in rows:
        if row.link:
            (folder / row.link).parent.mkdir(exist_ok=True)
            (folder / row.link).write_text(f"<title>{row.link}</title>")
    return folder / "overview.html"


def test_a_row_says_what_the_report_says(tiny_run):
    row = row_of_run(tiny_run, "tiny", link="x/report.html", attempts=3)
    facts = json.loads((tiny_run / "report.json").read_text())
    assert row.state == facts["verdict"]["word"].lower()
    assert row.residual == facts["alignment"]["holdout_residual"]
    assert (row.tilts, row.tilts_used, row.tilt_range_deg) == (15, 15, (-70.0, 70.0))
    assert row.unit == "nm"
    assert row.thickness == facts["reconstruction"]["size_nm"][0]
    # Particles were not looked for, which is not the same as none.
    assert row.counts == {"layers": facts["detection"]["n_layers"], "voids": 0}
    assert (row.resolution, row.attempts) == (None, 3)
    assert len(row.thumbnail.picture.uri) < 10_000


def test_a_state_that_is_none_is_refused():
    with pytest.raises(InputError, match="expected one of failed"):
        OverviewRow(name="x", state="good")


def test_the_same_rows_give_the_same_bytes_and_an_empty_page_is_one(rows, page, tmp_path):
    write_overview(tmp_path / "again.html", rows, title="raw/*.mrc", lead="A session.")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    write_overview(tmp_path / "empty.html", [], title="nothing")
    assert "0 series" in (tmp_path / "empty.html").read_text()


def test_units_stand_in_the_cells_where_they_differ(tmp_path):
    rows = [
        OverviewRow(name="a", state="ok", thickness=60.0, resolution=2.0),
        OverviewRow(name="b", state="ok", thickness=30.0, unit="px"),
    ]
    write_overview(tmp_path / "o.html", rows, title="t")
    text = (tmp_path / "o.html").read_text()
    assert re.findall(r">(60 nm|30 px|2 nm)<", text) == ["60 nm", "2 nm", "30 px"]
    assert "<small>nm" not in text


@pytest.mark.browser
class TestInChromium:
    def names(self, driver: Any) -> list[str]:
        rows = "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden)"
        return driver.execute_script(f"return {rows}.map(r => r.cells[1].innerText)")

    def head(self, driver: Any, text: str) -> Any:
        heads = driver.find_elements("css selector", "thead th")
        return next(h for h in heads if h.text.replace("\n", " ").startswith(text))

    @pytest.fixture(autouse=True)
    def opened(self, driver: Any, page: Path) -> None:
        metrics = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get_log("browser"), driver.get_log("performance")
        driver.get(page.as_uri())

    def test_all_is_shown_and_nothing_logged_or_fetched(self, driver, page):
        images = driver.execute_script(
            "return [...document.images].map(i => [i.alt, i.naturalWidth])"
        )
        assert [alt for alt, width in images if width > 0] == [
            "Central slice of ts_2", "Central slice of ts_10", "Central slice of <b>&odd",
        ]  # fmt: skip
        assert driver.get_log("browser") == []
        events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
        asked = [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]
        assert [u for u in asked if not u.startswith("data:")] == [page.as_uri()]
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 1280

    def test_the_counts_say_how_many_and_show_only_these(self, driver):
        counts = driver.find_element("id", "counts")
        assert counts.text.split("\n") == [
            "5 series", "1 FAILED", "1 BAD", "1 LOOK", "1 OK", "1 running",
        ]  # fmt: skip
        button = counts.find_element("css selector", "[data-only='failed']")
        button.click()
        assert self.names(driver) == ["cut"]
        button.click()
        assert len(self.names(driver)) == 5

    @pytest.mark.parametrize(
        ("column", "order", "backwards"),
        [
            ("series", "odd cut now ts_2 ts_10", "ts_10 ts_2 now cut odd"),
            ("verdict", "cut odd ts_10 ts_2 now", "now ts_2 ts_10 odd cut"),
            # What has no number stays at the end, whichever way the rest is sorted.
            ("held-out residual", "ts_2 ts_10 odd cut now", "odd ts_10 ts_2 cut now"),
            ("thickness", "odd ts_2 ts_10 cut now", "ts_2 ts_10 odd cut now"),
        ],
    )
    def test_a_click_on_a_heading_sorts(self, driver, column, order, backwards):
        def shown() -> str:
            return " ".join(self.names(driver)).replace("<b>&", "")

        self.head(driver, column).click()
        assert shown() == order
        self.head(driver, column).click()
        assert self.head(driver, column).get_attribute("aria-sort") == "descending"
        assert shown() == backwards

    def test_each_report_is_a_click_away(self, driver, page):
        links = driver.find_elements("css selector", "td.name a")
        assert [a.text for a in links] == ["ts_2", "ts_10", "<b>&odd"]
        links[0].click()
        assert driver.title == "ts 2/report.html"

    def test_a_page_on_its_way_loads_itself_and_keeps_its_order(self, driver, rows, tmp_path):
        path = tmp_path / "live.html"
        write_overview(path, rows, title="live", refresh_seconds=1)
        driver.get(path.as_uri())
        self.head(driver, "held-out").click()
        self.head(driver, "held-out").click()
        order = self.names(driver)
        write_overview(path, rows, title="live again")
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(driver, 10).until(lambda d: d.title.startswith("live again"))
        assert order == ["<b>&odd", "ts_10", "ts_2", "cut", "now"]
        assert self.names(driver) == order
        assert "data-refresh" not in driver.page_source.split("<header>")[0]
