import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqa_gs.cli import main
from vqa_gs.common.errors import DataError
from vqa_gs.data.from_table import answer_type, read_table
from vqa_gs.data.official_types import own_question_type
from vqa_gs.data.questions import read_question_set

IDS = {"a.jpg": "a", "b.jpg": "b", "more/c.png": "c"}


def table(folder, text, name="t.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_one_answer_a_row(tmp_path):
    file = table(
        tmp_path,
        "\ufeffImage,Question,Answer,weather\r\n"
        'a.jpg,"What color is the ball, or cube?",red,rain\r\n'
        "\r\n"
        "more/c.png,Is it there?,Yes,\r\n"
        "b,Name the animal.,zebra,\r\n"
        "photos/a.jpg,how many people are in it,two,\r\n",
    )
    found = read_table(file, IDS)
    assert [(q.question_id, q.image_id) for q in found.questions] == [(1, "a"), (2, "c"), (3, "b"), (4, "a")]
    assert found.questions[0].question == "What color is the ball, or cube?"
    told = [(a.question_type, a.answer_type, a.multiple_choice_answer) for a in found.annotations]
    assert told == [
        ("what color is the", "other", "red"),
        ("is it", "yes/no", "Yes"),
        ("name the", "other", "zebra"),
        ("how many people are in", "number", "two"),
    ]
    assert [len(a.answers) for a in found.annotations] == [1, 1, 1, 1]
    assert list(found.sources) == [str(file)]


def test_ten_answers_and_columns_of_one_s_own(tmp_path):
    names = [f"answer_{number}" for number in range(1, 11)]
    rows = ["q1", "a", "What is it?", *["cat"] * 4, *["dog"] * 6, "what", "animal"]
    header = "\t".join(["question_id", "image_id", "question", *names, "question_type", "answer_type"])
    found = read_table(table(tmp_path, f"{header}\n" + "\t".join(rows) + "\n", "t.tsv"), IDS)
    (annotation,) = found.annotations
    assert (annotation.multiple_choice_answer, annotation.question_type, annotation.answer_type) == (
        "dog",
        "what",
        "animal",
    )
    assert [answer.answer_id for answer in annotation.answers] == list(range(1, 11))
    assert [answer.answer for answer in annotation.answers] == ["cat"] * 4 + ["dog"] * 6


@pytest.mark.parametrize(
    ("text", "where", "problem", "mend"),
    [
        ("", "line 1", "has no column 'image'", "image, question, and answer"),
        ("image,question\na,b\n", "line 1", "has no column 'answer'", "answer_1 to answer_10"),
        ("image,question,answer,answer_1\n", "line 1", "'answer' and numbered ones", "keep one"),
        ("image,question,Answer,answer\n", "line 1", "two columns 'answer'", ""),
        ("image,question,answer\n", None, "has no rows", "a row a question"),
        ("image,question,answer\na.jpg,Is it red, or pink?,yes\n", "line 2", "4 cells", "quotation marks"),
        ("image,question,answer\na.jpg,what?,yes\na.jpgg,what?,yes\n", "line 3", "no image 'a.jpgg'", "a.jpg?"),
        ("image,question,answer\n,what?,yes\n", "line 2", "the image is missing", "--images"),
        ("image,question,answer\na, ,yes\n", "line 2", "the question is missing", "remove the row"),
        ("image,question,answer\na,what?,\n", "line 2", "there is no answer", "remove the row"),
        ("image,question,answer,question_type\na,what?,x,\n", "line 2", "question_type is empty", "remove the column"),
        ("image,question,answer,question_id\na,b,c,7\na,b,c,7\n", "line 3", "7 is that of line 2", "of its own"),
        ('image,question,answer\na,"what?,yes\n', "line 2", "damaged", ""),
    ],
)
def test_refused(tmp_path, text, where, problem, mend):
    with pytest.raises(DataError) as error:
        read_table(table(tmp_path, text), IDS)
    assert error.value.record == where
    assert problem in error.value.problem
    assert mend in (error.value.mend or "")


def test_names_that_two_images_have_are_not_guessed(tmp_path):
    ids = {"x/1.jpg": "one", "y/1.jpg": "two"}
    assert read_table(table(tmp_path, "image,question,answer\ny/1.jpg,b,c\n"), ids).questions[0].image_id == "two"
    with pytest.raises(DataError, match="no image '1.jpg'"):
        read_table(table(tmp_path, "image,question,answer\n1.jpg,b,c\n"), ids)


@given(st.text(), st.text())
def test_any_text_is_read_or_refused(tmp_path_factory, text, cell):
    folder = tmp_path_factory.mktemp("any")
    for content in (text, f"image,question,answer\na.jpg,{cell},yes\n"):
        (folder / "t.csv").write_text(content, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            found = read_table(folder / "t.csv", IDS)
        except DataError:
            continue
        assert len(found.questions) == len(found.annotations) > 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("Yes.", "yes/no"), ("no", "yes/no"), ("two", "number"), ("1,000", "number"), ("3.5", "number"), ("a 3", "number"),
     ("3 dogs", "other"), ("yes, two", "other"), ("", "other")],
)  # fmt: skip
def test_answer_types(answer, kind):
    assert answer_type(answer) == kind


def test_types_of_one_s_own_questions():
    assert own_question_type("How many people are in it?") == "how many people are in"
    assert own_question_type("Wie viele Hunde?") == "wie viele"
    assert own_question_type("Hello") == "hello"
    assert own_question_type("?") == "none of the above"


def test_from_csv_makes_files_that_every_command_reads(tmp_path, capsys):
    images = tmp_path / "photos"
    images.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (9, 9)).save(images / f"{name}.png")
    file = table(tmp_path, "image,question,answer\na.png,What color is it?,black\nb,Is it red?,no\n")
    words = ["data", "from-csv", str(file), "--images", str(images), "--out", str(tmp_path / "data")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "2 questions of 2 types about 2 of 2 images" in told
    assert "exact-normalized" in told
    made = [str(tmp_path / "data" / f"{name}.json") for name in ("questions", "annotations")]
    whole = json.loads((tmp_path / "data" / "questions.json").read_text())
    assert whole["task_type"] == "Open-Ended"
    assert whole["questions"][0] == {"question_id": 1, "image_id": "a", "question": "What color is it?"}
    assert read_question_set(*made).annotations[1].answer_type == "yes/no"
    assert main(["data", "check", "--questions", made[0], "--annotations", made[1], "--min-questions", "1"]) == 0
    assert main([*words[:3], "--images", str(tmp_path / "no"), *words[5:]]) == 2
    assert "no such folder of images" in capsys.readouterr().err


def test_check_tells_of_questions_without_a_type(tmp_path, capsys):
    (tmp_path / "q.json").write_text(json.dumps([{"question_id": 1, "image_id": 1, "question": "Is it?"}]))
    annotation = {"question_id": 1, "image_id": 1, "question_type": "", "answers": [{"answer": "no", "answer_id": 1}]}
    (tmp_path / "a.json").write_text(json.dumps([annotation]))
    words = ["data", "check", "--questions", str(tmp_path / "q.json"), "--annotations", str(tmp_path / "a.json")]
    assert main(words) == 0
    assert "1 questions, of the type" in capsys.readouterr().out
