"""Questions asked again about other images: only those whose answers objects decide, and with the right answers."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from vqa_gs.pair_builders.classes.regions import ClassSettings
from vqa_gs.pair_builders.propagation import Settings, propagate
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.cli import main
from vqa_gs.common.errors import UsageError

NAMES = ["person", "dog", "cat", "car"]
# Image -> (class, how many or None where nobody knows); the features are log(1 + number) and whether it is known.
CONTENT = {
    1: [("dog", 1), ("person", 2)],
    2: [("person", 3)],
    3: [("cat", 1), ("person", 1)],
    4: [("dog", None), ("car", 1)],
    5: [("car", 4)],
    6: [("dog", 2), ("cat", 1)],
}


@pytest.fixture
def sources(make_questions, make_store, tmp_path):
    """Makes sources of (image id, text, answer)."""

    def make(*rows):
        store = make_store(
            {
                image: [[np.log1p(number or 1), float(number is not None)] for _, number in content]
                for image, content in CONTENT.items()
            }
        )
        codes = [NAMES.index(name) for content in CONTENT.values() for name, _ in content]
        (tmp_path / "names.json").write_text(json.dumps(NAMES))
        np.savez(tmp_path / "classes.npz", np.array(codes))
        settings = ClassSettings(tmp_path / "names.json", tmp_path / "classes.npz", log_count=0, count_known=1)
        # Each image is asked about, as only these are used.
        rows = [*rows, *((image, "Why?", "because") for image in CONTENT)]
        questions = make_questions([(100 + at, *row) for at, row in enumerate(rows)])
        return PairSources(questions, store, regions=settings)

    return make


def made(found):
    """Returns (original id, image, answer) of what was made."""
    rows = zip(found.pairs, found.questions.questions, found.questions.annotations, strict=True)
    return sorted((pair[0], question.image_id, annotation.majority) for pair, question, annotation in rows)


EVERY = Settings(images=10)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # An image without what is asked for has none of it, however it is described.
        ((1, "Is there a dog?", "yes"), {(2, "no"), (3, "no"), (5, "no")}),
        ((1, "Is there a white dog?", "yes"), {(2, "no"), (3, "no"), (5, "no")}),
        # One that has some has what was asked for only where nothing narrows it.
        ((2, "Is there a dog in the picture?", "no"), {(1, "yes"), (4, "yes"), (6, "yes")}),
        ((2, "Is there a white dog?", "no"), set()),
        ((2, "Is there a puppy?", "no"), set()),
        # The answer contradicts the objects, or two classes are asked for.
        ((2, "Is there a dog?", "yes"), set()),
        ((1, "Is there a dog?", "no"), set()),
        ((1, "Is there a dog and a person?", "yes"), set()),
        # Numbers: another known one; with a word that narrows, none alone. Of those that have none a third are used.
        ((1, "How many people are in the picture?", "2"), {(2, "3"), (3, "1"), (4, "0")}),
        ((2, "How many tall people are there?", "2"), {(4, "0"), (5, "0"), (6, "0")}),
        ((1, "How many people are there?", "7"), {(4, "0"), (5, "0"), (6, "0")}),
        # Nobody knows how many dogs are in image 4.
        ((1, "How many dogs are there?", "1"), {(2, "0"), (6, "2")}),
        # Of a group the one there is.
        ((1, "What animal is this?", "dog"), {(3, "cat")}),
        ((6, "What animal is this?", "dog"), set()),
        ((1, "What animal is behind the fence?", "dog"), set()),
        ((1, "What is this?", "dog"), set()),
    ],
)
def test_what_is_made(sources, asked, expected):
    # That cats are called cats is learnt from answers.
    given = sources(asked, (3, "Who is it?", "cat"), (4, "Who is it?", "dog"), (5, "Is there a car?", "yes"))
    found = [(image, answer) for key, image, answer in made(propagate(given, EVERY)) if key == 100]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_images_with_most_in_common_come_first(sources):
    found = propagate(sources((1, "Is there a dog?", "yes")), Settings(images=2))
    assert made(found) == [(100, 2, "no"), (100, 3, "no")]  # both have a person, as image 1; image 5 has a car


def test_ids_answers_and_counts(sources):
    found = propagate(sources((1, "Is there a dog?", "yes"), (2, "Is there a dog?", "no")), EVERY, seed=1)
    assert found.made == Counter(presence=6)
    assert len(set(found.questions.question_ids) | {100, 101}) == 8
    for annotation in found.questions.annotations:
        assert [answer.answer_id for answer in annotation.answers] == list(range(1, 11))
        assert {answer.answer for answer in annotation.answers} == {annotation.majority}
        assert (annotation.question_type, annotation.answer_type) == ("is there", "yes/no")
    few = propagate(sources((1, "Is there a dog?", "yes"), (2, "Is there a dog?", "no")), Settings(10, of_each=2))
    assert Counter(answer for _, _, answer in made(few)) == {"no": 2, "yes": 2}


def test_text_ids_are_kept_apart(sources):
    given = sources((1, "Is there a dog?", "yes"))
    first = given.questions.questions
    first[0] = msgspec.structs.replace(first[0], question_id="propagated-1")
    names = [name for _, name in propagate(given, EVERY).pairs]
    assert names == ["propagated-2", "propagated-3", "propagated-4"]


def test_nothing_to_make_is_told(sources):
    with pytest.raises(UsageError, match=r"no question's answer is decided .*\(check --regions\.names\)"):
        propagate(sources((1, "What color is it?", "red")), EVERY)
    with pytest.raises(UsageError, match="no other image"):
        Settings(images=0)


def test_command_and_pairs(sources, tmp_path, capsys):
    from vqa_gs.data.write_questions import write_question_set

    given = sources((1, "Is there a dog?", "yes"), (1, "How many people are there?", "2"))
    files = tmp_path / "q.json", tmp_path / "a.json"
    write_question_set(given.questions, *files)
    both = ["--questions", str(files[0]), "--annotations", str(files[1]), "--features", str(given.store.path)]
    both += ["--regions.names", str(given.regions.names), "--regions.classes", str(given.regions.classes)]
    both += ["--regions.log_count", "0", "--regions.count_known", "1"]
    out = tmp_path / "asked"
    assert main(["data", "propagate", *both, "--out", str(out)]) == 0
    assert "4 questions asked again: 2 count, 2 presence" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in Path(out).iterdir()}
    assert main(["data", "propagate", *both, "--out", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in Path(out).iterdir()} == before
    edits = ["--edited-questions", str(out / "questions.json"), "--edited-annotations", str(out / "annotations.json")]
    words = ["pairs", "build", "--kind", "edited", "--edited.alignment", "sparse", "--select", "named", *both, *edits]
    assert main([*words, "--pair-list", str(out / "pairs.json"), "--out", str(tmp_path / "pairs.h5")]) == 0
    assert "4 pairs of 6 questions" in capsys.readouterr().out
