import json

import pytest
from vqa_gs.features.joined import JoinedStore
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.builders.edited import Settings
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.edited import original_of, read_edited_set

build = BUILDERS["edited"].build

ORIGINALS = [(1, 10, "How many?", "2"), (2, 11, "How many?", "3"), (3, 12, "Is it?", "yes")]
EDITS = [(101, "10_e", "How many?", "1"), (102, "11_e", "How many?", "three"), (103, "12_e", "Is it?", "no")]
IMAGES = {
    "10": [[1.0, 0], [0, 1]],
    "10_e": [[0.0, 1], [0, 0]],
    "11": [[2.0, 2]],
    "11_e": [[2.0, 3]],
    "12": [[1.0, 1], [3, 3]],
    "12_e": [[1.0, 1]],
}


@pytest.fixture
def make_sources(make_questions, make_store, tmp_path):
    def make(pairs, originals=ORIGINALS, edits=EDITS):
        path = tmp_path / "pairs.json"
        path.write_text(pairs if isinstance(pairs, str) else json.dumps(pairs))
        rows = [(id, str(image), *rest) for id, image, *rest in originals]
        edited = None if edits is None else make_questions(edits, "edited.json")
        return PairSources(make_questions(rows), make_store(IMAGES), edited, path)

    return make


def pairs_of(table):
    return list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))


def test_listed_pairs(make_sources):
    sources = make_sources([[1, 101], {"original": 2, "edited": 102}, {"edited": 101, "original": 1}])
    table = build(sources, Settings(weight=2.0), 0)
    assert pairs_of(table) == [(1, 101)]
    assert table.kinds == ("edited",)
    assert table.alignment.tolist() == [0]
    assert table.weight.tolist() == [2]
    # "three" is "3": the edit changed nothing.
    assert table.settings["edited"]["dropped"] == {"equal answers": 1, "repeated": 1}
    assert len(table.sources) == 4
    assert len(table.sources[str(sources.pair_list)]) == 64


def test_other_alignments(make_sources):
    table = build(make_sources([[1, 101], [3, 103]]), Settings(alignment="matched"), 0)
    assert table.rows_of(0).tolist() == [[0, 1], [1, 0]]
    assert table.rows_of(1).tolist() == [[0, 0], [1, -1]]
    table = build(make_sources([[1, 101], [3, 103]]), Settings(alignment="sparse"), 0)
    assert table.rows.tolist() == [[0, 1], [1, -1]]


def test_identity_needs_equal_counts(make_sources):
    with pytest.raises(DataError, match=r"store\.h5: identity.*image 12 has 2 and image 12_e has 1"):
        build(make_sources([[1, 101], [3, 103]]), Settings(), 0)


def test_both_ends_in_one_file(make_sources):
    table = build(make_sources([[1, 2], [2, 1]], edits=None), Settings(alignment="matched"), 0)
    assert pairs_of(table) == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[1, 101], [9, 101]], r"pairs\.json: row 1: there is no question 9 in questions\.json"),
        ([[1, 109]], r"pairs\.json: row 0: there is no question 109 in edited\.json"),
        ([["1", 101]], "row 0: there is no question '1' .*write them alike"),
        ([[101, 1]], "row 0: .*wrong way round"),
        ([[1, 101], [2]], r"pairs\.json: row 1: not a pair"),
        ([[1, 101, 2]], "row 0: not a pair"),
        ([[True, 101]], "row 0: not a pair"),
        ([{"original": 1}], "row 0: not a pair"),
        ({"pairs": []}, r"pairs\.json: not a list of pairs of question ids"),
        ("[[1, 101]", r"pairs\.json: not valid JSON"),
        ("", r"pairs\.json: is empty"),
    ],
)
def test_bad_lists(make_sources, pairs, message):
    with pytest.raises(DataError, match=message) as caught:
        build(make_sources(pairs), Settings(), 0)
    assert "\n" not in str(caught.value)


def test_ids_must_tell_the_ends_apart(make_sources):
    edits = [(2, "10_e", "How many?", "1")]
    with pytest.raises(DataError, match="row 0: the edited question 2 has the id of an original"):
        build(make_sources([[1, 2]], edits=edits), Settings(), 0)


def test_a_missing_image_is_named(make_sources):
    edits = [(101, "10_lost", "How many?", "1")]
    with pytest.raises(DataError, match=r"store\.h5: image '10_lost': the image of question 101 is not in"):
        build(make_sources([[1, 101]], edits=edits), Settings(), 0)


@pytest.fixture
def causal(tmp_path):
    """CV-VQA: text image ids, repeated question ids, answers of n - 1 beside a multiple choice answer of n."""
    questions, annotations = [], []
    for instance in (77, 78):
        image = f"{262148:012d}_{instance:012d}"
        questions.append({"image_id": image, "question": "How many dogs are there?", "question_id": 262148000})
        answers = [{"answer": "1", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
        annotations.append(
            {"question_type": "how many", "multiple_choice_answer": "2", "answers": answers, "image_id": image,
             "answer_type": "number", "question_id": 262148000}
        )  # fmt: skip
    image = f"{999:012d}_{5:012d}"
    questions.append({"image_id": image, "question": "How many?", "question_id": 999000})
    annotations.append({**annotations[0], "image_id": image, "question_id": 999000})
    paths = (
        tmp_path / "v2_OpenEnded_mscoco_train2014_questions.json",
        tmp_path / "v2_mscoco_train2014_annotations.json",
    )
    paths[0].write_text(json.dumps({"questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations[::-1]}))
    return paths


def test_causal_vqa(causal, make_questions, make_store):
    edited = read_edited_set(*causal)
    ids = [f"262148000@000000262148_{instance:012d}" for instance in (77, 78)]
    assert edited.question_ids[:2] == ids
    assert [annotation.majority for annotation in edited.annotations] == ["1"] * 3
    assert [original_of(id) for id in [*edited.question_ids, 5, "5"]] == [262148000, 262148000, 999000, None, None]
    questions = make_questions([(262148000, 262148, "How many dogs are there?", "2")])
    originals = make_store({262148: [[1.0, 0], [2.0, 0]]})
    edits = {question.image_id: [[1.0, 0], [0.0, 1]] for question in edited.questions}
    store = JoinedStore([originals, make_store(edits, "edits.h5")])
    table = build(PairSources(questions, store, edited), Settings())
    assert pairs_of(table) == [(262148000, ids[0]), (262148000, ids[1])]
    assert table.settings["edited"]["dropped"]["the original is not at hand"] == 1
    questions = make_questions([(262148000, 262148, "How many dogs are there?", "1")])
    assert len(build(PairSources(questions, store, edited), Settings())) == 0
    kept = build(PairSources(questions, store, edited), Settings(equal_answers="keep"))
    # Nothing makes a difference: no region has a direction.
    assert (kept.alignment.tolist(), len(kept.rows)) == ([2, 2], 0)


def test_edited_files_of_another_form_stay_as_they_are(tmp_path):
    question = {"image_id": "a_edit", "question": "How many?", "question_id": 5}
    answer = {"answers": [{"answer": "1"}], "image_id": "a_edit", "question_id": 5}
    (tmp_path / "q.json").write_text(json.dumps([question]))
    (tmp_path / "a.json").write_text(json.dumps([answer]))
    assert read_edited_set(tmp_path / "q.json", tmp_path / "a.json").question_ids == [5]
    (tmp_path / "q.json").write_text(json.dumps([question, {**question, "image_id": "b"}]))
    (tmp_path / "a.json").write_text(json.dumps([answer, {**answer, "image_id": "b"}]))
    with pytest.raises(DataError, match="appears twice"):
        read_edited_set(tmp_path / "q.json", tmp_path / "a.json")


def test_a_list_is_needed_where_ids_do_not_say(make_questions, make_store):
    rows = [(id, str(image), *rest) for id, image, *rest in ORIGINALS]
    with pytest.raises(UsageError, match="edited pairs need a list of the pairs"):
        build(PairSources(make_questions(rows), make_store(IMAGES), make_questions(EDITS)))
