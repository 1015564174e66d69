import json

import pytest
from vqa_gs.eval.report.write import write_report
from vqa_gs.eval.report_content.content import Options

from tests.chromium import resize

from .report_world import NASTY, write_world

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"), {"baseline": (0.3,), "gs": (0.9,)})


@pytest.fixture(scope="module")
def report(world):
    return write_report(world.load(), world.folder / "r.html", options=Options(image_dir=world.images))[0]


@pytest.fixture
def page(browser, report):
    browser.get_log("browser")
    resize(browser, 1280)
    browser.get(report.as_uri())
    return browser


def choose(page, name: str, value: str) -> None:
    """Sets a field of the example browser as a user would, and tells the page."""
    page.execute_script(
        """
        const field = document.querySelector(`.examples [name="${arguments[0]}"]`);
        field.value = arguments[1];
        field.dispatchEvent(new Event("input", { bubbles: true }));
        """,
        name,
        value,
    )


def listed(page) -> list[str]:
    return [item.text for item in page.find_elements("css selector", ".examples .list button > span:first-child")]


def shown(page) -> dict[str, str]:
    card = page.find_element("css selector", ".examples .shown")
    return {
        "question": card.find_element("css selector", "h3").text,
        "predictions": card.find_element("css selector", "table").text,
        "answers": card.find_element("css selector", ".given").text,
    }


def verdicts(page) -> set[str]:
    return {item.text for item in page.find_elements("css selector", ".examples .marks")}


def data(page) -> dict:
    return json.loads(page.execute_script("return document.getElementById('s1-examples-data').textContent"))


def test_it_opens_on_what_changed_out_of_domain(page):
    assert page.get_log("browser") == []
    rows = data(page)
    ood = rows["splits"].index("ood_test")
    changed = [row["q"] for row in rows["rows"] if row["s"] == ood and row["o"] == "changed"]
    assert listed(page) == changed
    assert verdicts(page) <= {"✓✗", "✗✓"}
    assert shown(page)["question"] == changed[0]
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_filters(page):
    choose(page, "split", "")
    choose(page, "outcome", "")
    assert len(listed(page)) == 72
    choose(page, "outcome", "right")
    assert verdicts(page) == {"✓✓"}
    choose(page, "outcome", "wrong")
    assert verdicts(page) <= {"✗✗"}
    choose(page, "outcome", "gained")
    choose(page, "one", "1")
    choose(page, "other", "0")
    assert verdicts(page) == {"✗✓"}
    assert page.find_element("css selector", ".examples .pair").is_displayed()
    choose(page, "outcome", "")
    choose(page, "text", "HOW MANY small")
    assert listed(page)
    assert all("how many small" in text for text in listed(page))
    choose(page, "text", "zzz")
    assert listed(page) == []
    assert page.find_element("css selector", ".turn output").text == "no example fits"


def test_turning_over(page):
    names = listed(page)
    turn = page.find_element("css selector", ".turn output")
    back, on = (page.find_element("css selector", f'.turn [name="{name}"]') for name in ("back", "on"))
    assert not back.is_enabled()
    on.click()
    assert (turn.text, shown(page)["question"]) == (f"2 of {len(names)}", names[1])
    back.click()
    assert shown(page)["question"] == names[0]
    page.find_elements("css selector", ".examples .list button")[-1].click()
    assert shown(page)["question"] == names[-1]
    assert not on.is_enabled()


def test_a_card_shows_answers_predictions_and_regions(page):
    choose(page, "outcome", "")
    choose(page, "text", "how many")
    row = next(row for row in data(page)["rows"] if row["q"] == shown(page)["question"] and row["s"] == 1)
    texts = data(page)["texts"]
    card = shown(page)
    assert [int(count) for count in card["answers"].split()[1::2]] == [count for _, count in row["a"]]
    assert sum(count for _, count in row["a"]) == 10
    assert f"gs-seed0 {texts[row['p'][1]]} {row['c'][1]:.0f} %" in card["predictions"]
    image = page.find_element("css selector", ".seen image")
    assert image.get_attribute("href").startswith("data:image/jpeg")
    script = "return [...document.querySelectorAll('.seen .region title')].map(title => title.textContent)"
    assert sorted(page.execute_script(script)) == ["attention 25.0 %", "attention 75.0 %"]
    page.find_element("css selector", '.layers button[value="gradient"]').click()
    assert sorted(page.execute_script(script)) == ["gradient 25.0 %", "gradient 75.0 %"]
    page.find_element("css selector", '.layers button[value="image"]').click()
    assert page.execute_script(script) == []


def test_a_question_is_never_markup(page):
    choose(page, "outcome", "")
    choose(page, "text", "<script>")
    assert NASTY in listed(page)
    card = shown(page)
    assert card["question"] == NASTY
    assert NASTY in card["answers"]
    assert page.execute_script("return document.querySelectorAll('.examples script').length") == 0
    assert page.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 320])
def test_examples_fit_a_phone(page, width):
    resize(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    sides = page.execute_script(
        "return [...document.querySelectorAll('.examples select, .examples input, .seen, .list')]"
        ".filter(node => node.offsetParent).map(node => node.getBoundingClientRect().right)"
    )
    assert max(sides) <= width
