"""The page of a study in a browser: it fits, its links lead somewhere, its bars and points stand inside."""

import json
import re
from pathlib import Path

import pytest

from tests.chromium import resize
from vqa_gs.study.plan import make_plan
from vqa_gs.study.report import write_study_report

from .test_report import SCORES, write_run

pytestmark = pytest.mark.browser


@pytest.fixture
def study(write_study, tmp_path):
    arms = {"control": {}, "better": {"training.lr": 0.1}, "swept": {"sweep": {"data.max_pairs": [10, 100]}}}
    out = tmp_path / "a study"
    plan = make_plan(write_study(arms=arms, seeds=[1, 2, 3], control="control"), out)
    for run in plan.runs:
        write_run(run, *SCORES[run.arm.name][run.seed], lambda overall: {"subsets": {"easy": {"overall": overall}}})
    write_study_report(plan)
    return out


def test_it_fits_links_and_draws(browser, study):
    page = study / "study.html"
    browser.get_log("browser")
    for width in (390, 1280):
        resize(browser, width)
        browser.get(page.as_uri())
        script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        needed, shown = browser.execute_script(script)
        assert needed <= shown
    assert browser.get_log("browser") == []
    addresses = browser.execute_script("return [...document.links].map(link => link.href)")
    beside = [Path(re.sub("^file://", "", address).replace("%20", " ")) for address in addresses if "#" not in address]
    assert {path.name for path in beside} == {"study.csv", "study.tex", "study.md", "study.json", "report.html"}
    assert all(path.is_file() for path in beside)
    # The first section has bars and the plane; nothing of them is drawn outside of its panel.
    outside = browser.execute_script("""
        return [...document.querySelectorAll("main section:nth-of-type(2) .panel svg")].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("path, rect, circle, polygon")].map(node => node.getBoundingClientRect())
                .filter(box => box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1).map(box => JSON.stringify(box));
        })
    """)
    assert outside == []
    browser.find_element("link text", "better").click()
    assert "better" in browser.title
    assert json.loads((study / "study.json").read_text())["format"] == "vqa-gs-study"
