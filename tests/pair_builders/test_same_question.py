from collections import Counter

import numpy as np
import pytest
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.builders.same_question import Settings
from vqa_gs.pair_builders.describe import describe
from vqa_gs.pair_builders.ends import answer_of
from vqa_gs.pair_builders.nearest.groups import find_pairs
from vqa_gs.pair_builders.sources import PairSources
from vqa_gs.pair_builders.table import read_pair_table, write_pair_table

from vqa_gs.common.errors import DataError
from vqa_gs.data.normalize import normalize_question
from vqa_gs.data.questions import QuestionSet, read_question_set

build = BUILDERS["same-question"].build

ROWS = [
    (1, 10, "What colour is the bus?", "red"),
    (2, 11, "what colour is  the bus", "Blue"),
    (3, 12, "What colour is the bus?", "green"),
    (4, 13, "What colour is the bus?", "red."),
    (5, 10, "What colour is the bus?", "yellow"),
    (6, 14, "Is it raining?", "yes"),
    (7, 15, "Is it raining?", "yes"),
    (8, 10, "How many?", "2"),
]
# Mean regions on a line: 10 at 0, 11 at 1, 12 at 3, 13 at 7.
IMAGES = {
    10: [[0.0, 5.0], [0.0, 5.0]],
    11: [[2.0, 5.0], [0.0, 5.0]],
    12: [[3.0, 5.0]],
    13: [[7.0, 5.0]],
}


def pairs_of(table):
    return list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))


def test_partners_ask_the_same_of_other_images_and_answer_differently(make_questions, make_store):
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    table = build(sources, Settings(metric="euclidean", partners=5), 0)
    assert pairs_of(table) == [(1, 2), (1, 3), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 5)]
    assert table.kinds == ("same-question",)
    assert table.settings["same-question"]["partners"] == 5
    assert table.settings["same-question"]["seed"] == 0
    assert set(table.sources) == {"questions.json", str(sources.store.path)}
    # The further apart, the larger the distance; a constant dimension counts nothing.
    near = dict(zip(pairs_of(table), table.distance.tolist(), strict=True))
    assert near[1, 2] < near[2, 3] < near[1, 3] < near[3, 4] < near[2, 4]
    assert near[1, 2] == pytest.approx(near[2, 5])


def test_the_nearest_first_and_not_too_many(make_questions, make_store):
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    table = build(sources, Settings(metric="euclidean", partners=1), 0)
    # 1-2 and 2-5 are equally near, the lower id decides; 5 takes what is left, 4.
    assert pairs_of(table) == [(1, 2), (3, 5)]
    table = build(sources, Settings(metric="euclidean", partners=2), 0)
    assert max(Counter(np.concatenate([table.question_a, table.question_b]).tolist()).values()) == 2


def test_matched_and_sparse_rows(make_questions, make_store):
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    table = build(sources, Settings(metric="euclidean", partners=1), 0)
    assert table.rows_of(0).tolist() in ([[0, 1], [1, 0]], [[0, 0], [1, 1]])
    assert sorted(table.rows_of(1).tolist()) == [[-1, 1], [0, 0]] or len(table.rows_of(1)) == 2
    sparse = build(sources, Settings(metric="euclidean", partners=1, alignment="sparse"), 0)
    assert [len(sparse.rows_of(pair)) for pair in range(2)] == [1, 1]
    assert set(sparse.alignment) == {2}
    assert sparse.rows_of(0)[0, 1] == 0  # the region at 2, not the one at 0


def test_order_of_the_file_does_not_matter(make_questions, make_store, tmp_path):
    store = make_store(IMAGES)
    whole = make_questions(ROWS)
    for at, rows in enumerate((ROWS, ROWS[::-1], ROWS[3:] + ROWS[:3])):
        table = build(PairSources(make_questions(rows), store), Settings(), 0)
        write_pair_table(tmp_path / f"{at}.h5", table)
    files = {(tmp_path / f"{at}.h5").read_bytes() for at in range(3)}
    assert len(files) == 1
    assert len(whole) == len(ROWS)


def test_nothing_to_pair_gives_an_empty_table(make_questions, make_store, tmp_path):
    table = build(PairSources(make_questions(ROWS[5:]), make_store(IMAGES)), Settings(), 0)
    assert len(table) == 0
    write_pair_table(tmp_path / "p.h5", table)
    with pytest.raises(DataError, match="holds no pairs"):
        read_pair_table(tmp_path / "p.h5", require_pairs=True)


def test_a_missing_image_is_named(make_questions, make_store):
    store = make_store({id: IMAGES[id] for id in (10, 11)})
    with pytest.raises(DataError, match=r"store\.h5: image 12: the image of question 3 is not.*nor are 1 others"):
        build(PairSources(make_questions(ROWS), store), Settings(), 0)
    text = make_store({str(id): IMAGES[id] for id in IMAGES}, "text.h5")
    with pytest.raises(DataError, match="write them alike"):
        build(PairSources(make_questions(ROWS), text), Settings(), 0)


def test_text_ids(make_questions, make_store):
    rows = [(f"q{id}", f"i{image}", text, answer) for id, image, text, answer in ROWS]
    store = make_store({f"i{image}": features for image, features in IMAGES.items()})
    table = build(PairSources(make_questions(rows), store), Settings(metric="euclidean", partners=1), 0)
    assert pairs_of(table) == [("q1", "q2"), ("q3", "q5")]


def test_large_groups_are_dealt_out_by_the_seed():
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((60, 8)).astype(np.float32)
    keys, answers = np.zeros(60, np.int64), generator.integers(0, 3, 60)
    found = [find_pairs(vectors, np.arange(60), keys, answers, Settings(max_group=20), seed) for seed in (0, 0, 1)]
    assert found[0].a.tolist() == found[1].a.tolist()
    assert found[0].a.tolist() != found[2].a.tolist()
    whole = find_pairs(vectors, np.arange(60), keys, answers, Settings(), 0)
    assert whole.distance[:20].mean() < found[0].distance[:20].mean()


def test_progress_and_the_registered_builder(make_questions, make_store):
    calls = []
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    table = BUILDERS["same-question"].build(sources, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 4), (len(table), len(table))]


def test_a_group_of_thousands_needs_no_square_of_memory():
    import tracemalloc

    generator = np.random.default_rng(0)
    count = 6000
    vectors = generator.standard_normal((count, 16)).astype(np.float32)
    tracemalloc.start()
    edges = find_pairs(
        vectors, np.arange(count), np.zeros(count, np.int64), generator.integers(0, 9, count), Settings()
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(edges.a) > count
    assert peak < count * count * 8 / 1.5  # one matrix of distances alone would be 288 MB


def test_real_questions(mini, mini_store):
    store = RegionStore(mini_store)
    questions = read_question_set(mini / "train_questions.json.gz", mini / "train_annotations.json.gz")
    table = BUILDERS["same-question"].build(PairSources(questions, store))
    assert len(questions) == 21702
    assert 5000 < len(table) < 6000  # measured: 5,481 pairs of 5,440 questions
    row = {id: at for at, id in enumerate(questions.question_ids)}
    seen = set()
    for pair, ends in enumerate(pairs_of(table)):
        a, b = (row[id] for id in ends)
        texts = {normalize_question(questions.questions[end].question) for end in (a, b)}
        assert len(texts) == 1
        images = [questions.questions[end].image_id for end in (a, b)]
        assert images[0] != images[1]
        assert answer_of(questions.annotations[a]) != answer_of(questions.annotations[b])
        assert frozenset(ends) not in seen
        seen.add(frozenset(ends))
        if pair % 50 == 0:
            assert len(table.rows_of(pair)) == store.counts(images).max()
    summary = describe(table, questions)
    assert summary["most_pairs_of_a_question"] <= 3
    assert summary["unknown_questions"] == 0
    assert np.isfinite(table.distance).all()
    # Most similar first: the pairs are nearer than those of questions drawn at random.
    assert np.median(table.distance) < 0.8
    shuffled = QuestionSet(questions.questions[::-1], questions.annotations[::-1], questions.sources)
    again = BUILDERS["same-question"].build(PairSources(shuffled, store))
    assert pairs_of(again) == pairs_of(table)
    np.testing.assert_array_equal(again.rows, table.rows)
