import gzip
import hashlib
import json
import pickle

import numpy as np
import pytest

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import (
    Annotation,
    Answer,
    Question,
    read_annotations,
    read_question_set,
    read_questions,
)

HEADER = {"info": {"year": 2017}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {"url": ""}}


def question(key=1, image=10, text="Is it?", **more):
    return {"image_id": image, "question": text, "question_id": key, **more}


def annotation(key=1, image=10, answers=("yes",) * 9 + ("no",), **more):
    listed = [{"answer": a, "answer_confidence": "yes", "answer_id": n} for n, a in enumerate(answers, 1)]
    return {
        "question_id": key,
        "image_id": image,
        "question_type": "is it",
        "answer_type": "yes/no",
        "multiple_choice_answer": "yes",
        "answers": listed,
        **more,
    }


def without(record, *keys):
    return {key: value for key, value in record.items() if key not in keys}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", ["header", "object", "list"])
def test_every_shape(write, shape, packed):
    def wrap(name, rows):
        return {"header": {**HEADER, name: rows}, "object": {name: rows}, "list": rows}[shape]

    rows = [question(1, coco_split="train2014", split="test"), question("2", "a_b")]
    questions = write(wrap("questions", rows), "q", packed)
    annotations = write(wrap("annotations", [annotation("2", "a_b"), annotation(1, coco_split="x")]), "a", packed)
    read = read_question_set(questions, annotations)
    assert read.questions == [Question(1, 10, "Is it?", "train2014"), Question("2", "a_b", "Is it?")]
    assert [a.question_id for a in read.annotations] == [1, "2"]
    assert read.annotations[0].answers[9] == Answer("no", "yes", 10)
    assert read.question_ids == [1, "2"]
    assert read.image_ids == [10, "a_b"]
    assert len(read) == 2
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (questions, annotations)]
    assert read.sources == {str(questions): digests[0], str(annotations): digests[1]}


def test_questions_alone(write):
    read = read_question_set(write([question()]))
    assert read.annotations is None
    assert len(read.sources) == 1
    assert read.subset([0]).annotations is None


def test_a_byte_order_mark_is_ignored(write):
    assert len(read_questions(write(b"\xef\xbb\xbf" + json.dumps([question()]).encode()))) == 1


def test_defaults_of_missing_fields(write):
    bare = without(annotation(answers=("b", "a", "a", "b")), "question_type", "answer_type", "multiple_choice_answer")
    (read,) = read_annotations(write([bare]))
    assert (read.question_type, read.answer_type) == ("unknown", "unknown")
    assert read.multiple_choice_answer == "b"  # of two equally common ones the first
    assert Annotation(1, 2, (Answer("x"),)).majority == "x"


def test_single_answers_without_ids(write):
    (read,) = read_annotations(write([annotation() | {"answers": [{"answer": "left"}]}]))
    assert read.answers == (Answer("left", "", None),)


def test_equal_answers_share_memory(write):
    first, second = read_annotations(write([annotation(1), annotation(2)]))
    assert first.answers[0] is second.answers[0]
    assert first.question_type is second.question_type


def test_subset_keeps_alignment_and_order(write):
    rows = range(5)
    read = read_question_set(write([question(n, n) for n in rows], "q"), write([annotation(n, n) for n in rows], "a"))
    part = read.subset(np.array([4, 1]))
    assert part.question_ids == [4, 1]
    assert [a.question_id for a in part.annotations] == [4, 1]
    assert part.sources == read.sources
    assert pickle.loads(pickle.dumps(part)) == part


def refused(path, message, read=read_questions, *more):
    with pytest.raises(DataError, match=message) as caught:
        read(path, *more)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert caught.value.mend
    return text


BROKEN_FILES = [
    (b"", "is empty"),
    (b" \n", "is empty"),
    (b"[{", "not valid JSON"),
    (b"not json", "not valid JSON"),
    (b"\xff\xfe[\x00]\x00", "not valid JSON"),
    (b"3", "not a list of"),
    (b'"text"', "not a list of"),
    ({"info": {}}, "has no list of"),
    ([], "has no "),
    ([1], "row 0"),
    ([[1]], "row 0"),
    ([{}], "row 0: .*missing required field"),
    (gzip.compress(json.dumps([question()] * 99).encode(), mtime=0)[:60], "gzip ends too early"),
    (gzip.compress(json.dumps([question()] * 99).encode(), mtime=0)[:-8] + bytes(8), "damaged gzip"),
    (b"\x1f\x8b\x08\x00rubbish-rubbish", "gzip"),
    (b"[" * 100_000, "nested too deeply|not valid JSON"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN_FILES)
@pytest.mark.parametrize("read", [read_questions, read_annotations])
def test_broken_files(write, content, message, read):
    refused(write(content), message, read)


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "no.json", "no such questions file")
    with pytest.raises(DataError, match="is a folder"):
        read_questions(tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (without(question(5), "question"), "question 5: .*missing required field `question`"),
        (without(question("x5"), "image_id"), "question x5: .*`image_id`"),
        (question(5, text=None), "question 5: "),
        (question(1.5), "row 1|question 1"),
        (question(5, image=[1]), "question 5: "),
        (question(1), "question 1: .*twice"),
    ],
)
def test_broken_questions(write, record, message):
    refused(write([question(1), record]), message)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (without(annotation(5), "answers"), "question 5: .*`answers`"),
        (annotation(5, answers=()), "question 5: .*no answers"),
        (annotation(5) | {"answers": [{"answer": 3}]}, r"question 5: .*answers\[0\].answer|answers\[...\]"),
        (annotation(5) | {"answers": "yes"}, "question 5: "),
        (annotation(1), "question 1: .*twice"),
    ],
)
def test_broken_annotations(write, record, message):
    refused(write([annotation(1), record]), message, read_annotations)


@pytest.mark.parametrize("wrap", [False, True])
def test_swapped_files(write, wrap):
    questions, annotations = [question()], [annotation()]
    questions_file = write({"questions": questions} if wrap else questions, "q")
    annotations_file = write({"annotations": annotations} if wrap else annotations, "a")
    refused(annotations_file, "holds annotations, not questions .*swapped", read_questions)
    refused(questions_file, "holds questions, not annotations .*swapped", read_annotations)


@pytest.mark.parametrize(
    ("questions", "annotations", "message"),
    [
        ([question(1), question(2)], [annotation(1)], "question 2: this question has no annotation"),
        ([question(1)], [annotation(2), annotation(1)], "question 2: this annotation has no question"),
        ([question(1)], [annotation(1, 11)], "question 1: the image is 11 here but 10 in"),
        ([question(1)], [annotation("1")], "question 1: .*write them alike"),
        ([question(1)], [annotation(1), annotation("1")], "question '1': .*write them alike"),
    ],
)
def test_files_that_do_not_align(write, questions, annotations, message):
    with pytest.raises(DataError, match=message) as caught:
        read_question_set(write(questions, "q.json"), write(annotations, "a.json"))
    assert "q.json" in str(caught.value)
    assert "a.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_vqa2_mini(shared_data):
    folder = shared_data / "vqa2-mini"
    for split, count in (("train", 21_702), ("iid_val", 2_411), ("ood_test", 5_367)):
        read = read_question_set(folder / f"{split}_questions.json.gz", folder / f"{split}_annotations.json.gz")
        assert len(read) == count
        assert {len(a.answers) for a in read.annotations} == {10}


def test_real_vqa_rad(shared_data):
    folder = shared_data / "vqa-rad"
    read = read_question_set(folder / "train_questions.json", folder / "train_annotations.json")
    assert len(read) == 3_064
    assert {len(a.answers) for a in read.annotations} == {1}
