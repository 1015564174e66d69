"""Commands in a real pseudo-terminal: bold there and nowhere else, as wide as it is, deaf to texts of strangers."""

import json
import subprocess
import sys

import pytest

from tests.session.terminal import run

NASTY = "what \x1b[31mred\x07 [bold]is"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A command line that prints a table of strangers' texts, and needs no torch."""
    folder = tmp_path_factory.mktemp("annotations")
    for name, answer in (("train", "yes"), ("test", "no")):
        rows = [
            {
                "question_id": number,
                "image_id": number,
                "question_type": NASTY if number % 2 else "is there a",
                "answer_type": "yes/no",
                "multiple_choice_answer": answer,
                "answers": [{"answer": answer, "answer_id": at + 1} for at in range(10)],
            }
            for number in range(8)
        ]
        (folder / f"{name}.json").write_text(json.dumps({"annotations": rows}))
    files = [str(folder / f"{name}.json") for name in ("train", "test")]
    return [sys.executable, "-m", "vqa_gs", "split", "check", *files]


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_tables_in_bold_and_as_wide_as_it_is(words, width):
    pyte = pytest.importorskip("pyte")
    said = run(words, width)
    assert said.code == 0
    assert b"\x1b[1m" in said.raw
    screen = pyte.Screen(width, 60)
    pyte.ByteStream(screen).feed(said.raw)
    bold = {character.data for line in screen.buffer.values() for character in line.values() if character.bold}
    assert {"q", "t", "d"} <= bold, "the heading is bold"
    longest = max(map(len, said.screen(width)))
    # The sentence below the table is longer than either terminal.
    assert width - 20 <= longest <= width
    # What strangers wrote neither colours anything nor rings the bell.
    assert b"\x1b[31m" not in said.raw
    assert b"\x07" not in said.raw
    assert b"\\x1b[31m" in said.raw.replace(b"\r\n", b"") or width == 80
    assert b"[bold]" in said.raw


def test_no_color_and_pipes_are_plain(words):
    said = run(words, 120, {"NO_COLOR": "1"})
    assert said.code == 0
    assert b"\x1b" not in said.raw
    piped = subprocess.run(words, capture_output=True, check=True).stdout
    assert b"\x1b" not in piped
    assert b"question type" in piped
