from pathlib import Path

import pytest
from vqa_gs.eval.report.write import write_report

from tests.chromium import resize

from .test_report import nasty_run  # noqa: F401
from .test_report_fixtures import load_study

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(load_study(folder / "runs"), folder / "report.html")[0]


@pytest.fixture
def page(browser, report):
    browser.get_log("browser")
    resize(browser, 1280)
    browser.get(report.as_uri())
    return browser


def column(page, index: int) -> list[str]:
    script = """
        return [...document.querySelectorAll("#s1-types-table tbody tr")].filter(row => !row.hidden)
            .map(row => row.cells[arguments[0]].textContent.trim())
    """
    return page.execute_script(script, index)


def headings(page):
    return page.find_elements("css selector", "#s1-types-table thead tr:last-child th button")


def test_opens_without_complaint(page):
    assert page.title == "Accuracy in and out of domain"
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_sorting(page):
    names = column(page, 0)
    assert names[0] == "how many"
    headings(page)[0].click()
    assert column(page, 0) == sorted(names)
    assert headings(page)[0].find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    headings(page)[0].click()
    assert column(page, 0) == sorted(names, reverse=True)
    headings(page)[0].click()
    assert column(page, 0) == names
    headings(page)[4].click()
    values = [float(text.split()[0]) for text in column(page, 4)]
    assert values == sorted(values, reverse=True)
    assert headings(page)[0].find_element("xpath", "..").get_attribute("aria-sort") is None


def test_sorting_by_keyboard(page):
    names = column(page, 0)
    page.execute_script("arguments[0].focus()", headings(page)[0])
    page.switch_to.active_element.send_keys(" ")
    assert column(page, 0) == sorted(names)


def test_filter(page):
    box = page.find_element("css selector", "#s1-types-table input")
    box.send_keys("How Many")
    assert column(page, 0) == ["how many", "how many people are"]
    output = page.find_element("css selector", "#s1-types-table output")
    assert output.text == "2 of 21 shown"
    headings(page)[0].click()
    headings(page)[0].click()
    assert column(page, 0) == ["how many people are", "how many"], "sorting leaves the filter alone"
    box.clear()
    box.send_keys("zzz")
    assert column(page, 0) == []


@pytest.mark.parametrize("width", [390, 320, 1280])
def test_page_body_does_not_overflow(page, width):
    resize(page, width)
    page.execute_script("document.querySelectorAll('details').forEach(details => { details.open = true })")
    script = "const root = document.documentElement; return [root.scrollWidth, root.clientWidth, innerWidth]"
    needed, shown, window = page.execute_script(script)
    assert needed <= shown
    assert window == width, "a page that is too wide is zoomed out on a phone"


def test_charts_are_readable_on_a_phone(page):
    resize(page, 390)
    sizes = page.execute_script(
        "return [...document.querySelectorAll('.panel text')].map(t => t.getBoundingClientRect().height)"
    )
    assert sizes
    assert min(sizes) >= 9


def test_dark(page):
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    script = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(script)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert page.execute_script(script) != light
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_nothing_from_the_data_runs(browser, tmp_path, nasty_run):  # noqa: F811
    path = write_report([nasty_run], tmp_path / "report.html", title="<script>alert(1)</script>")[0]
    browser.get_log("browser")
    resize(browser, 390)
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.scripts.length") == 1
    assert browser.execute_script("return document.images.length") == 0
    assert browser.title == "<script>alert(1)</script>"
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390


def test_the_page_forbids_scripts_that_are_not_its_own(page):
    ran = page.execute_script("""
        const script = document.createElement("script");
        script.textContent = "window.intruder = true";
        document.body.append(script);
        return window.intruder === true;
    """)
    assert not ran
