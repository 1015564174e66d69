import json

import numpy as np
import pytest

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.pickles import load_pickle
from vqa_gs.data.questions import Annotation, Answer, read_question_set
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary


def annotation(key, majority):
    return Annotation(key, key, (Answer(majority, "yes", 1),), multiple_choice_answer=majority)


def test_words_by_frequency_then_alphabet():
    words = WordVocabulary.build(["b a?", "c b", "a"])
    assert words.words == ["<pad>", "<unk>", "a", "b", "c"]
    assert words.index["a"] == 2
    assert len(words) == 5
    assert WordVocabulary.build(["c b", "b a?", "a"]).words == words.words


def test_rare_words_stay_unknown():
    words = WordVocabulary.build(["b a", "b"], min_count=2)
    assert words.encode(["a b"], length=3).tolist() == [[0, 1, 2]]


def test_encoding_pads_in_front_and_cuts_the_end():
    words = WordVocabulary(["a", "b", "c"])
    encoded = words.encode(["A b?", "", "a b c a b", "x <pad> a"], length=4)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [[0, 0, 2, 3], [0, 0, 0, 0], [2, 3, 4, 2], [0, 1, 1, 2]]
    assert words.encode(["a"]).shape == (1, 14)
    assert words.encode([]).shape == (0, 14)


def test_special_entries_in_questions_get_no_second_index():
    assert WordVocabulary.build(["<unk> <pad> a"]).words == ["<pad>", "<unk>", "a"]


def test_words_errors():
    with pytest.raises(UsageError, match="lower min_count"):
        WordVocabulary.build(["a"], min_count=2)
    with pytest.raises(UsageError, match="min_count is 0"):
        WordVocabulary.build(["a"], min_count=0)
    with pytest.raises(UsageError, match="length of 0"):
        WordVocabulary(["a"]).encode(["a"], length=0)
    with pytest.raises(DataError, match="'a' appears twice"):
        WordVocabulary(["a", "a"])


def test_answers_by_distinct_questions():
    rows = [annotation(n, a) for n, a in enumerate(["Yes", "no", "yes!", "no", "two", "a", "a"])]
    rows += [annotation(4, "two")]  # the same question twice
    assert AnswerVocabulary.build(rows, min_questions=2).answers == ["no", "yes"]
    answers = AnswerVocabulary.build(reversed(rows), min_questions=1)
    assert answers.answers == ["no", "yes", "2"]
    assert answers.index == {"no": 0, "yes": 1, "2": 2}
    assert len(answers) == 3


def test_answers_errors():
    with pytest.raises(UsageError, match=r"9 questions or more, the most frequent one to 2 .*lower min_questions to 2"):
        AnswerVocabulary.build([annotation(1, "a b"), annotation(2, "b")])
    with pytest.raises(UsageError, match="give annotations"):
        AnswerVocabulary.build([])
    with pytest.raises(DataError, match="empty"):
        AnswerVocabulary([])


@pytest.mark.parametrize(
    ("vocabulary", "attribute"),
    [(WordVocabulary(["é", "a"]), "words"), (AnswerVocabulary(["t shirt", "ü"]), "answers")],
)
def test_saving_and_loading(tmp_path, vocabulary, attribute):
    path = tmp_path / "new" / "v.json"
    vocabulary.save(path)
    loaded = type(vocabulary).load(path)
    assert getattr(loaded, attribute) == getattr(vocabulary, attribute)
    assert loaded.index == vocabulary.index
    assert [entry.name for entry in path.parent.iterdir()] == ["v.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "vqa-gs-answers"}, "format is 'vqa-gs-answers'"),
        ({"format_version": 2}, "version 2"),
        ({"words": []}, "has no words"),
        ({"words": ["a", "a"]}, "'a' appears twice"),
        ({"words": [1]}, r"words\[0\]|words\[...\]"),
    ],
)
def test_loading_refuses(write, change, message):
    path = write({"format": "vqa-gs-words", "format_version": 1, "words": ["a"]} | change)
    with pytest.raises(DataError, match=message) as caught:
        WordVocabulary.load(path)
    assert str(path) in str(caught.value)


def test_loading_another_vocabulary(write, tmp_path):
    WordVocabulary(["a"]).save(tmp_path / "w.json")
    with pytest.raises(DataError, match="expected 'vqa-gs-answers'"):
        AnswerVocabulary.load(tmp_path / "w.json")
    with pytest.raises(DataError, match="has no answers"):
        AnswerVocabulary.load(write({"format": "vqa-gs-answers", "format_version": 1, "answers": []}))
    assert json.loads((tmp_path / "w.json").read_text())["words"] == ["a"]


def test_real_answers_agree_with_a_public_cache(shared_data):
    folder = shared_data / "vqa-rad"
    words = load_pickle(folder / "hengyuan-hu" / "dictionary.pkl")[0]
    read = read_question_set(folder / "train_questions.json", folder / "train_annotations.json")
    ours = WordVocabulary.build(question.question for question in read.questions)
    # The public dictionary was built from training and test questions with the same tokens.
    shared = set(ours.index) & set(words)
    assert len(shared) > 0.9 * len(ours)
