import pytest
from PIL import Image
from vqa_gs.pair_builders.table import PairTable, concatenate, write_pair_table

from tests.chromium import resize
from vqa_gs.cli import main
from vqa_gs.data.write_questions import write_question_set

from .test_gallery import NASTY, questions, store, tables  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser, questions, store, tmp_path):  # noqa: F811
    names = tmp_path / "questions.json", tmp_path / "annotations.json"
    write_question_set(questions, *names)
    many = PairTable.of_one_kind("same-question", [1] * 60, [2] * 60, alignment="sparse", rows=[[[0, 2]]] * 60)
    write_pair_table(tmp_path / "pairs.h5", concatenate([*tables(), many]))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (200, 100), "teal").save(tmp_path / "images" / "COCO_val2014_000000000010.jpg")
    words = ["pairs", "show", str(tmp_path / "pairs.h5"), f"--html={tmp_path / 'gallery.html'}"]
    words += [f"--questions={names[0]}", f"--annotations={names[1]}", f"--features={store.path}"]
    assert main([*words, f"--image-dir={tmp_path / 'images'}"]) == 0
    resize(browser, 1280)
    browser.get_log("browser")
    browser.get((tmp_path / "gallery.html").as_uri())
    return browser


def test_pairs_are_drawn_and_filtered(page):
    assert page.get_log("browser") == []
    assert page.title == "Pairs of pairs.h5"
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    first = page.find_element("css selector", "article")
    assert first.find_element("css selector", "h2").text == "Is there a dog?"
    assert [node.text for node in first.find_elements("css selector", ".answer")] == ["yes", "no"]
    assert len(first.find_elements("css selector", ".end-a svg image")) == 1
    assert len(first.find_elements("css selector", ".end-b svg image")) == 0
    marked = first.find_elements("css selector", ".end-a rect.marked")
    assert [(box.get_attribute("x"), box.get_attribute("width")) for box in marked] == [("0", "10"), ("5", "35")]
    # One row, one colour at both ends.
    other = first.find_element("css selector", ".end-b rect.marked")
    assert other.get_attribute("stroke") == marked[0].get_attribute("stroke")
    # Cards come as the page is scrolled.
    assert len(page.find_elements("css selector", "article")) < 64
    page.execute_script("document.querySelector('[name=kind]').value = '1'")
    page.execute_script("document.querySelector('form').dispatchEvent(new Event('input'))")
    kinds = page.execute_script("return [...document.querySelectorAll('article')].map(node => node.dataset.kind)")
    assert kinds == ["masked", "masked"]
    assert page.find_element("css selector", "output").text == "2 shown"
    assert len(page.find_elements("css selector", ".end-b rect.gone")) == 2


def test_texts_stay_texts(page):
    page.find_element("css selector", "[name=words]").send_keys("document.title")
    shown = page.find_elements("css selector", ".end-b h2")
    assert len(shown) == 2
    assert shown[0].text.startswith(NASTY[:20])
    assert page.title == "Pairs of pairs.h5"
    resize(page, 390)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_cards_are_made_until_there_are_no_more(page):
    made = [len(page.find_elements("css selector", "article"))]
    while len(made) < 2 or made[-1] > made[-2]:
        page.execute_script("more()")
        made.append(len(page.find_elements("css selector", "article")))
    assert made[-1] == 64
