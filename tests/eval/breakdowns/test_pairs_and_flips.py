import json

import pytest
from vqa_gs.eval.edited import edited_answers
from vqa_gs.eval.results import read_rows

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.questions import read_question_set


def test_what_becomes_of_pairs(scored, section_of):
    rows = [
        (1, "is it", "yes/no", "yes", "yes"),
        (2, "is it", "yes/no", "no", "no"),
        (3, "is it", "yes/no", "no", "yes"),
        (4, "is it", "yes/no", "yes", None),
    ]
    section = section_of("pair_consistency", scored(rows, pairs={"complementary": [(1, 2), (1, 3), (3, 4), (1, 99)]}))
    assert section["complementary"] == {
        "pairs": 3,
        "outside_the_set": 1,
        "both_right": pytest.approx(100 / 3),
        "one_right": pytest.approx(100 / 3),
        "none_right": pytest.approx(100 / 3),
        "same_answer": pytest.approx(100 / 3),
    }
    assert section_of("pair_consistency", scored(rows)) is None


def write_edits(folder, edits, name="edited"):
    """Writes edits (question id, image id, ten answers, majority) in CausalVQA's form: objects with one list each."""
    questions = [{"question_id": qid, "image_id": image, "question": "How many dogs?"} for qid, image, *_ in edits]
    annotations = [
        {
            "question_id": qid,
            "image_id": image,
            "question_type": "how many",
            "answer_type": "number",
            "answers": [{"answer": answer, "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)],
            "multiple_choice_answer": majority,
        }
        for qid, image, answer, majority in edits
    ]
    (folder / f"{name}_q.json").write_text(json.dumps({"questions": questions}))
    (folder / f"{name}_a.json").write_text(json.dumps({"annotations": annotations}))
    return read_question_set(folder / f"{name}_q.json", folder / f"{name}_a.json", repeated_ids=True)


# Question 10 (truth 3) has two edits, 20 (truth 2) one, 30 (truth 4) two: ids repeat, image ids name the edits.
EDITS = [
    (10, "000000000001_000000000018", "2", "3"),
    (10, "000000000001_000000000019", "2", "3"),
    (20, "000000000002_000000000018", "1", "2"),
    (30, "000000000003_000000000018", "3", "4"),
    (30, "000000000003_000000000019", "3", "4"),
]
ORIGINALS = [
    (10, "how many", "number", "3", "three"),  # right
    (20, "how many", "number", "2", "3"),  # wrong
    (30, "how many", "number", "4", "5"),  # wrong
]


def answers_to(texts, with_images=True):
    return [
        {"question_id": qid, "answer": text, **({"image_id": image} if with_images else {})}
        for (qid, image, *_), text in zip(EDITS, texts, strict=True)
    ]


def read_answers(folder, edits, rows, kind):
    (folder / "r.json").write_text(json.dumps(rows))
    return edited_answers(kind, edits, read_rows(folder / "r.json"), folder / "r.json")


def test_cv_vqa_by_hand(scored, tmp_path, section_of):
    edits = write_edits(tmp_path, EDITS)
    # 3 -> 2 drops; 3 -> 3 does not, right before, wrong after; 3 -> 1 right after; 5 -> 4 drops, wrong; 5 -> 5.
    edited = read_answers(tmp_path, edits, answers_to(["two", "3", "1", "4", "5"]), "cv")
    section = section_of("flips", scored(ORIGINALS, edited=edited))
    assert section == {
        "kind": "cv",
        "edits": 5,
        "questions": 3,
        "accuracy_before": pytest.approx(100 / 3),
        "accuracy_after": 40.0,
        "flips": 60.0,
        "pos_neg": 20.0,
        "neg_pos": 20.0,
        "neg_neg": 20.0,
        "pos_pos": 0.0,
        "changed_answer": 60.0,
        "consistent": 40.0,
    }


def test_iv_vqa_by_hand(scored, tmp_path, section_of):
    edits = write_edits(tmp_path, [(qid, image, {10: "3", 20: "2", 30: "4"}[qid], "x") for qid, image, *_ in EDITS])
    # right stays right; right to wrong; wrong to right; wrong stays as it is; wrong to another wrong.
    edited = read_answers(tmp_path, edits, answers_to(["3", "1", "2", "5", "7"]), "iv")
    section = section_of("flips", scored(ORIGINALS, edited=edited))
    assert {name: section[name] for name in ("flips", "pos_neg", "neg_pos", "neg_neg", "pos_pos")} == {
        "flips": 60.0,
        "pos_neg": 20.0,
        "neg_pos": 20.0,
        "neg_neg": 20.0,
        "pos_pos": 0.0,
    }
    assert section["changed_answer"] == 60.0
    assert "consistent" not in section


def test_rows_in_any_order_or_without_images(tmp_path):
    edits = write_edits(tmp_path, EDITS)
    texts = ["a", "b", "c", "d", "e"]
    shuffled = read_answers(tmp_path, edits, answers_to(texts)[::-1], "iv")
    by_place = read_answers(tmp_path, edits, answers_to(texts, with_images=False), "iv")
    assert shuffled.predictions == by_place.predictions == texts


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (answers_to("abcde", with_images=False)[::-1], 'name no image and are not in its order .add "image_id"'),
        (answers_to("abcde")[:4], "question 30, image '000000000003_000000000019': 1 have no answer: 30"),
        ([*answers_to("abcde"), answers_to("abcde")[0]], "answered twice"),
        ([*answers_to("abcde"), {"question_id": 7, "answer": "x", "image_id": "y"}], "1 edits that are not in the set"),
    ],
)
def test_results_that_do_not_fit_the_edits(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_answers(tmp_path, write_edits(tmp_path, EDITS), rows, "cv")


def test_edits_without_their_originals(scored, tmp_path, section_of):
    edited = read_answers(tmp_path, write_edits(tmp_path, EDITS), answers_to("abcde"), "cv")
    with pytest.raises(UsageError, match="2 edits have no answered original in the set: 30"):
        section_of("flips", scored(ORIGINALS[:2], edited=edited))


def test_repeated_ids_need_different_images(tmp_path):
    with pytest.raises(DataError, match="appears twice about image"):
        write_edits(tmp_path, [EDITS[0], EDITS[0]])
    with pytest.raises(DataError, match="question 10: this question id appears twice"):
        write_edits(tmp_path, EDITS)
        read_question_set(tmp_path / "edited_q.json")
