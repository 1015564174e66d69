import gzip
import json

import pytest
from vqa_gs.eval.results import (
    Result,
    check_ids,
    name_ids,
    read_id_list,
    read_result_file,
    require_known,
    write_results,
    write_rows,
)

from vqa_gs.common.errors import DataError, UsageError


@pytest.fixture
def write(tmp_path):
    def write(content, name="results.json"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(data)
        return path

    return write


def results(*pairs):
    return [{"question_id": key, "answer": text} for key, text in pairs]


def test_written_results_are_read_back(tmp_path):
    answers = {3: "yes", "3": "nö", 1: ""}
    write_results(tmp_path / "r.json", answers)
    assert read_result_file(tmp_path / "r.json").answers == answers
    assert list(read_result_file(tmp_path / "r.json").answers) == [3, "3", 1]


def test_gzip_and_extra_keys(write):
    content = [{"question_id": 1, "answer": "a", "score": 0.5}]
    assert read_result_file(write(gzip.compress(json.dumps(content).encode()))).answers == {1: "a"}


def test_the_best_answers_of_every_question_or_of_none(write):
    top = [["a", 1.5], ["b", -2]]
    rows = [{"question_id": 1, "answer": "a", "top": top}, {"question_id": 2, "answer": "b", "top": top[1:]}]
    assert read_result_file(write(rows)).top == {1: (("a", 1.5), ("b", -2.0)), 2: (("b", -2.0),)}
    assert read_result_file(write(results((1, "a")))).top is None
    with pytest.raises(DataError, match="question 2: this row has no `top`, but others have"):
        read_result_file(write([rows[0], {"question_id": 2, "answer": "b"}]))
    with pytest.raises(DataError, match="question 1: .*length"):
        read_result_file(write([rows[0] | {"top": []}]))


def test_logits_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(DataError, match="question 7"):
        write_rows(tmp_path / "r.json", [Result(7, "a", top=(("a", 1.0), ("b", float("nan"))))])


def test_exactly_the_set_is_accepted(write):
    path = write(results((2, "b"), (1, "a")))
    assert read_result_file(path, [1, 2]).answers == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (results((1, "a"), (2, "b"), (1, "c")), r"1 questions are answered more than once: 1 \(keep"),
        (results((1, "a")), r"1 of 2 questions have no answer: 2 \("),
        (results((1, "a"), (2, "b"), (9, "c")), "answers 1 questions that are not in the set: 9 "),
        (results((1, "a"), ("2", "b")), "numbers in one file and strings in the other"),
        ([{"question_id": 1}], "question 1: .*missing required field `answer`"),
        ([{"question_id": 1, "answer": 3}], "question 1: .*Expected `str`"),
        ([{"answer": "a"}], "row 0: .*question_id"),
        ([3], "row 0: "),
        ({"results": []}, "not a list of"),
        (b"[{", "not valid JSON"),
        (b"", "is empty"),
        (b"\xff\xfe[]", "not valid JSON"),
        (gzip.compress(b"[]" * 500, mtime=0)[:20], "gzip ends too early"),
    ],
)
def test_refused(write, content, message):
    path = write(content)
    with pytest.raises(DataError, match=message) as caught:
        read_result_file(path, [1, 2])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_answers_can_be_allowed(write):
    assert read_result_file(write(results((1, "a"))), [1, 2], allow_missing=True).answers == {1: "a"}


def test_messages_name_a_few_ids_only():
    assert name_ids(range(8)) == "0, 1, 2, 3, 4 and 3 more"
    with pytest.raises(DataError, match=r"1000 of 1000 .*: 0, 1, 2, 3, 4 and 995 more"):
        check_ids([], range(1000))


def test_id_lists(write):
    assert read_id_list(write([1, "a", 2])) == [1, "a", 2]
    assert read_id_list(write({"question_ids": [1, 2]})) == [1, 2]
    assert read_id_list(write({"question_ids": {"count": [1], "presence": [2]}, "note": ""})) == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no ids"),
        ([1, 2, 1], "twice: 1"),
        ([1.5], "not a list"),
        ({"ids": [1]}, "not a list of question ids"),
    ],
)
def test_id_lists_refused(write, content, message):
    with pytest.raises(DataError, match=message):
        read_id_list(write(content))


def test_lists_of_another_set():
    with pytest.raises(UsageError, match="subset x names 1 questions that are not in the set: 3"):
        require_known([1, 3], {1, 2}, "subset x")
    with pytest.raises(UsageError, match="write them alike"):
        require_known(["1"], {1, 2}, "subset x")
