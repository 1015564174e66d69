import numpy as np
import pytest
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.nearest.questions import Texts, content_words
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import UsageError
from vqa_gs.data.normalize import normalize_question

builder = BUILDERS["near-duplicate"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How many people are in this picture?", "how many people are there", True),
        ("How many people can you see?", "How many people are visible?", True),
        ("Is there a dog?", "Are there any dogs in the photo?", True),
        ("What type of animal is this?", "What kind of animals are these?", True),
        ("What is on the table?", "What is under the table?", False),
        ("Is the dog not black?", "Is the dog black?", False),
        ("Are there 2 dogs?", "Are there 3 dogs?", False),
        ("Who is this?", "What is this?", False),
    ],
)
def test_content_words(one, other, same):
    assert (content_words(normalize_question(one)) == content_words(normalize_question(other))) is same


def test_families():
    texts = Texts(
        ["What is the man riding?", "what is the man ridding", "what is the man riding in the photo"]
        + ["How many cats are there?", "How many cars are there?", "how many cars"] * 30
        + [f"is the thing{number} riding there" for number in range(30)]
    )
    family = texts.families(2)[texts.of]
    assert family[0] == family[1] == family[2]  # a slip, which hardly anybody writes
    assert family[3] != family[4]  # two edits apart, and two questions
    assert family[4] == family[5]
    assert texts.families(0)[texts.of][0] != texts.families(0)[texts.of][1]


def test_changed_words():
    texts = Texts(["what color is the dog", "what color is the cat", "what color is the big dog", "who is it"])
    at = {text: number for number, text in enumerate(texts.distinct)}
    a = np.array([at["what color is the dog"]] * 3)
    b = np.array([at["what color is the dog"], at["what color is the cat"], at["what color is the big dog"]])
    assert texts.changed_words(a, b)[:2].tolist() == [0, 1]
    assert texts.changed_words(a, b)[2] > 1


ROWS = [
    (1, 10, "What is on the table?", "cake"),
    (2, 10, "What is on the chair?", "cat"),
    (3, 10, "What is on the tables?", "cake"),
    (4, 11, "What's on the table in this picture?", "pizza"),
    (5, 12, "What is on the table?", "dog"),
    (6, 11, "Why is he so happy about it?", "win"),
]
IMAGES = {10: [[1.0, 0, 3]], 11: [[1.1, 0, 3]], 12: [[-5.0, 4, 1]], 13: [[0.0, 9, 9]]}


def pairs(table, kind=None):
    found = zip(table.question_a.tolist(), table.question_b.tolist(), table.kind.tolist(), strict=True)
    return {(a, b) for a, b, code in found if kind in (None, table.kinds[code])}


def test_near_images_and_one_image(make_questions, make_store):
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    table = builder.build(sources, builder.Settings(neighbours=1, metric="euclidean", distance=0.5))
    assert pairs(table, "near-duplicate-question") == {(1, 2), (2, 3)}
    assert pairs(table, "near-duplicate") == {(1, 4), (2, 4), (3, 4)}
    one = table.kind == table.kinds.index("near-duplicate-question")
    # On one image every region is itself: no direction in the regions, the question makes the difference.
    assert set(table.alignment[one].tolist()) == {0}
    assert (table.distance[one] == 0).all()
    content = builder.Settings(neighbours=1, metric="euclidean", distance=0.5, questions="content")
    assert pairs(builder.build(sources, content)) == {(1, 4), (3, 4)}
    same = builder.Settings(neighbours=3, questions="same", same_image=False)
    assert pairs(builder.build(sources, same)) == {(1, 5)}


def test_any_images(make_questions, make_store):
    sources = PairSources(make_questions(ROWS), make_store(IMAGES))
    settings = builder.Settings(near_images=False, same_image=False, any_images=True, partners=9)
    assert pairs(builder.build(sources, settings)) == {(1, 4), (1, 5), (3, 4), (3, 5), (4, 5)}
    with pytest.raises(UsageError):
        builder.Settings(near_images=False, same_image=False)
