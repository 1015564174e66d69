"""The forms that tests' files have, in the shapes they are met in."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.asked_set import read_asked
from vqa_gs.data.groups import Quad, Triple

TEN = [{"answer": "red", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]


def question(key, image, text="What color?", **more):
    return {"question_id": key, "image_id": image, "question": text, **more}


def annotation(key, image, answers=TEN, **more):
    kinds = {"question_type": "what color", "answer_type": "other", "multiple_choice_answer": answers[0]["answer"]}
    return {"question_id": key, "image_id": image, "answers": answers, **kinds, **more}


@pytest.fixture
def write(tmp_path):
    def writer(name, content):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return writer


def as_csv(rows):
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0])
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def written(folder, rows, shape):
    """Rows as they are shared: a JSON list, JSON lines, CSV, Parquet with images beside; plain or gzipped."""
    file = folder / f"rows.{shape}"
    if shape == "parquet":
        images = [{"bytes": b"\xff\xd8" * 50, "path": None} for _ in rows]
        pq.write_table(pa.Table.from_pylist(rows).append_column("image", pa.array(images)), file)
    elif shape == "json":
        file.write_text(json.dumps([{**row, "image": {"bytes": [1, 2]}} for row in rows]))
    elif shape == "csv":
        file.write_text(as_csv(rows))
    else:
        lines = "\n".join(json.dumps(row) for row in rows).encode()
        file.write_bytes(gzip.compress(lines) if shape.endswith("gz") else lines)
    return file


SHAPES = ["json", "jsonl", "jsonl.gz", "csv", "parquet"]


@pytest.mark.parametrize("head", [None, "official", "rewrapped", "bare object"])
def test_vqa_with_and_without_heads(write, head):
    heads = {
        "official": {
            "info": {},
            "task_type": "Open-Ended",
            "data_type": "mscoco",
            "license": {},
            "data_subtype": "val2014",
        },
        "rewrapped": {"info": {"version": "new"}, "task_type": "Open-Ended"},
        "bare object": {},
    }
    questions, annotations = [question(1, 7), question(2, 7)], [annotation(2, 7), annotation(1, 7)]
    if head is not None:
        questions, annotations = {**heads[head], "questions": questions}, {**heads[head], "annotations": annotations}
    asked = read_asked(
        "vqa", {"questions": write("question_new.json", questions), "annotations": write("a_new.json", annotations)}
    )
    assert asked.questions.question_ids == [1, 2]
    assert asked.keys == {}


def test_vqa_with_ids_that_repeat(write):
    files = {"questions": write("q.json", [question(1, 7), question(1, 8)])}
    files["annotations"] = write("a.json", [annotation(1, 8), annotation(1, 7)])
    asked = read_asked("vqa", files)
    assert asked.questions.question_ids == ["1@7", "1@8"]
    assert [one.question_id for one in asked.questions.annotations] == ["1@7", "1@8"]
    assert asked.keys == {(1, 7): "1@7", (1, 8): "1@8"}


def test_edited_images_keep_their_originals_ids(write):
    lowered = [{**answer, "answer": "2"} for answer in TEN]
    image = "000000000001_000000000018"
    files = {
        "questions": write("q.json", {"questions": [question(10, image)]}),
        "annotations": write("a.json", {"annotations": [annotation(10, image, lowered, multiple_choice_answer="3")]}),
    }
    asked = read_asked("edited", files)
    assert asked.keys == {(10, image): f"10@{image}"}
    assert asked.questions.annotations[0].majority == "2"  # CV-VQA leaves the other field at the number before


@pytest.mark.parametrize("where", ["questions", "annotations"])
def test_rephrasings(write, where):
    """The id of a rephrasing is its original's with a digit behind it, here another original's about another image."""
    rows = [(1, 7, None), (12, 7, 1), (12, 8, None), (11, 7, 1), (121, 8, 12)]

    def of(make, told):
        return [
            make(key, image, **({"rephrasing_of": root} if told and root is not None else {}))
            for key, image, root in rows
        ]

    files = {"questions": write("q.json", {"questions": of(question, where == "questions")})}
    files["annotations"] = write("a.json", {"annotations": of(annotation, where == "annotations")})
    asked = read_asked("rephrasings", files)
    assert asked.groups.rephrasings == [("1@7", "12@7", "11@7"), ("12@8", "121@8")]
    files["questions"] = write("q.json", of(question, False))
    files["annotations"] = write("a.json", of(annotation, False))
    with pytest.raises(DataError, match="no question says which one it rephrases .expected the field rephrasing_of"):
        read_asked("rephrasings", files)


def test_lavis(write):
    rows = [
        {
            "image": "val2014/COCO_val2014_000000262148.jpg",
            "question": "How many?",
            "question_id": 5,
            "answer": ["2"] * 10,
        },
        {"image": "000000000139.jpg", "question": "Is it?", "question_id": "x", "answer": "yes", "dataset": "vqa"},
    ]
    asked = read_asked("lavis", {"questions": write("combined_data.json", rows)})
    assert asked.questions.image_ids == [262148, 139]
    assert [one.answer_type for one in asked.questions.annotations] == ["number", "yes/no"]
    assert [len(one.answers) for one in asked.questions.annotations] == [10, 1]
    with pytest.raises(DataError, match="question 5: this question id appears twice about one image"):
        read_asked("lavis", {"questions": write("twice.json", [rows[0], rows[0]])})


def gqa_record(**more):
    groups, types = {"global": "animal", "local": "x"}, {"structural": "query", "semantic": "obj", "detailed": "what"}
    return {
        "question": "What?",
        "imageId": "n1",
        "answer": "dog",
        "isBalanced": True,
        "groups": groups,
        "types": types,
        **more,
    }


def test_gqa_with_choices(write):
    common = {"structural": "compare", "semantic": "attr", "detailed": "twoCommon"}
    records = {"1": gqa_record(), "2": gqa_record(types=common, groups={"global": None, "local": "y"})}
    records["3"] = gqa_record(isBalanced=False)
    choices = {key: {"valid": ["dog", "cat"], "plausible": ["dog"]} for key in ("1", "2", "3", "4")}
    files = {"questions": write("gqa.json", records), "choices": write("choices.json", choices)}
    groups = read_asked("gqa", files).groups
    assert groups.global_groups == {"1": "animal"}
    assert groups.local_groups == {"1": "x", "2": "y"}
    assert groups.common == {"2"}
    assert set(groups.choices) == {"1", "2"}
    assert groups.choices["1"] == ({"dog", "cat"}, {"dog"})
    assert groups.choices["1"].valid is groups.choices["2"].valid  # of many thousand, few differ


NATURAL = {
    "Index": 12, "Question_0": "Is it red?", "Question_1": "Is it blue?", "Image_0_Question_0": "Yes",
    "Image_1_Question_0": "No", "Image_0_Question_1": "No", "Image_1_Question_1": "Yes", "Question_Type": "yes_no",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_natural_bench(tmp_path, shape):
    file = written(tmp_path, [NATURAL, {**NATURAL, "Index": 13}], shape)
    asked = read_asked("natural-bench", {"questions": file})
    first = asked.groups.quads[0]
    assert first == Quad("12_q0@12_i0", "12_q0@12_i1", "12_q1@12_i0", "12_q1@12_i1")
    truths = {one.question_id: one.majority for one in asked.questions.annotations}
    assert [truths[key] for key in first] == ["Yes", "No", "No", "Yes"]
    assert asked.keys["12_q1", "12_i0"] == "12_q1@12_i0"
    assert len(asked.questions) == 8


def test_mmvp(write):
    rows = [
        {"Index": 1, "Question": "Open or closed?", "Options": "(a) Open (b) Closed", "Correct Answer": "(a)"},
        {"Index": 2, "Question": "Open or closed?", "Options": "(a) Open (b) Closed", "Correct Answer": "(b)"},
    ]
    asked = read_asked("mmvp", {"questions": write("Questions.csv", as_csv(rows))})
    assert asked.groups.minimal_pairs == [(1, 2)]
    assert asked.questions.questions[0].question == "Open or closed? (a) Open (b) Closed"
    assert [one.majority for one in asked.questions.annotations] == ["A", "B"]
    for spoilt, message in ((rows[:1], "an odd number of rows"), ([rows[0], rows[0]], "an index stands twice")):
        with pytest.raises(DataError, match=message):
            read_asked("mmvp", {"questions": write("Questions.csv", as_csv(spoilt))})


VILP = {"question": "A fact is told. What is it?", "answer1": "dog", "answer2": "cat", "answer3": "cow"}


@pytest.mark.parametrize("shape", SHAPES)
def test_vilp(tmp_path, shape):
    file = written(tmp_path, [VILP, VILP], shape)
    fact, prior = (read_asked("vilp", {"questions": file}, {"mode": mode}) for mode in ("fact", "prior"))
    assert fact.groups.triples[1] == Triple("1@1_1", "1@1_2", "1@1_3")
    assert fact.questions.questions[0].question == VILP["question"]
    assert prior.questions.questions[0].question == "What is it?"
    assert prior.groups.mode == "prior"
    assert fact.keys[0, "0_2"] == "0@0_2"
    with pytest.raises(UsageError, match="no mode 'x' of ViLP"):
        read_asked("vilp", {"questions": file}, {"mode": "x"})


def carets_record(key, image="n1", label=None, sent="Is it?"):
    return {"img_id": image, "sent": sent, "question_id": key, "label": label or {"yes": 1.0, "no": 0}, "extra": 1}


@pytest.mark.parametrize("nested", [False, True])
def test_carets(write, nested):
    rows = [carets_record(1), carets_record(2), carets_record(1), carets_record(3, label={"yes": 1, "yeah": 0.5})]
    content = [rows[:2], rows[2:]] if nested else rows
    asked = read_asked("carets", {"questions": write("c.json", content)}, {"consistency": "directional"})
    assert asked.groups.contrasts == [(1, 2), (1, 3)]  # a question in two pairs is asked once
    assert asked.groups.contrast_kind == "directional"
    assert [answer.answer for answer in asked.questions.annotations[2].answers] == ["yes", "yeah"]
    assert asked.questions.annotations[0].majority == "yes"
    for content, message in (
        (rows[:3], "3 questions, which are no pairs"),
        ([rows[0], carets_record(1, sent="Other?")], "question 1: this question stands twice, each time otherwise"),
        ([carets_record(1, label={"no": 0}), rows[1]], "question 1: this question has no answer that is right"),
    ):
        with pytest.raises(DataError, match=message):
            read_asked("carets", {"questions": write("c.json", content)}, {"consistency": "invariance"})
    with pytest.raises(UsageError, match="the consistency of a test of CARETS is not said"):
        read_asked("carets", {"questions": write("c.json", rows)})


def test_carets_by_ids(write):
    """As in the authors' reader, in whatever order the rows are; of two made of one question the last counts."""
    ids = ["n1-q1-0-b", "n1-q2-0", "n1-q1-0", "n1-q1-0-a", "n1-q2-0-a"]
    rows = [carets_record(key) for key in ids]
    asked = read_asked("carets", {"questions": write("c.json", rows)}, {"consistency": "invariance"})
    assert asked.groups.contrasts == [("n1-q2-0", "n1-q2-0-a"), ("n1-q1-0", "n1-q1-0-a")]
    assert len(asked.questions) == 5
    for content, alone in ((rows[1:4], "n1-q2-0"), (rows[:4], "n1-q2-0"), (rows[:2] + rows[4:], "n1-q1-0-b")):
        with pytest.raises(DataError, match=f"question '{alone}': this question has no partner: ids are a-b-c"):
            read_asked("carets", {"questions": write("c.json", content)}, {"consistency": "invariance"})
    without = [carets_record(key) for key in ("a-b-c", "a-b-d")]
    asked = read_asked("carets", {"questions": write("c.json", without)}, {"consistency": "invariance"})
    assert asked.groups.contrasts == [("a-b-c", "a-b-d")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"PAR1" + b"\0" * 40, "not readable Parquet: "),
        ("x.json", b'[{"question": "a"}, 7]', "row 1: not a row: "),
        ("x.json", b"[]", "has no rows .expected rows of ViLP with the columns question_id, question, answer1"),
        ("x.csv", b"a,b\n1,2\n", "has none of the columns question_id, question"),
        ("x.csv", b"question,answer1,answer2,answer3\nWhat,1\n", "line 2: 2 cells where the header has 4"),
        ("x.csv", b"question,answer1\nWh\xff", "is not text in UTF-8"),
        ("x.json", b'[{"question": "a", "answer1": "b", "answer2": {}}]', "row 0: has an odd answer2"),
        ("x.jsonl", b'{"question": "a", "answer1": "b"}', "row 0: has no answer2"),
    ],
)
def test_tables_that_are_none(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_asked("vilp", {"questions": tmp_path / name})


def test_parquet_that_unpacks_to_more_than_an_honest_file(tmp_path):
    rows = [{**VILP, "question": "x" * (1 << 20)}] * 40
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(DataError, match="its texts unpack to more than"):
        read_asked("vilp", {"questions": tmp_path / "x.parquet"})


def test_parquet_whose_rows_share_one_long_text(tmp_path):
    """It is stored once, and unpacked a thousand times."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * (1 << 20)]))
    answers = {name: ["a"] * 1000 for name in ("answer1", "answer2", "answer3")}
    pq.write_table(pa.table({"question": text, **answers}), tmp_path / "x.parquet", store_schema=False)
    assert (tmp_path / "x.parquet").stat().st_size < 1 << 18
    with pytest.raises(DataError, match="its texts unpack to more than"):
        read_asked("vilp", {"questions": tmp_path / "x.parquet"})


def test_files_and_options_a_form_does_not_know(write):
    file = write("q.json", [question(1, 7)])
    with pytest.raises(UsageError, match="the form vqa needs annotations .name the files questions, annotations"):
        read_asked("vqa", {"questions": file})
    with pytest.raises(UsageError, match="the form mmvp knows nothing of 'mode' .it takes questions"):
        read_asked("mmvp", {"questions": file}, {"mode": "fact"})
