import numpy as np
import pytest
from vqa_gs.pair_builders.classes.coco import SYNONYMS
from vqa_gs.pair_builders.classes.questions import as_number, asks_colour, asks_number, asks_presence, counted_class
from vqa_gs.pair_builders.classes.words import ClassWords, plurals

NAMES = list(SYNONYMS)


@pytest.fixture(scope="module")
def words():
    return ClassWords(NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hot dog", {"hot dog"}),
        ("two Hot Dogs!", {"hot dog"}),
        ("dogs", {"dog"}),
        ("teddy bear", {"teddy bear"}),
        ("a bear and a teddy bear", {"bear", "teddy bear"}),
        ("the man is riding a bike", {"person", "bicycle"}),
        ("knives", {"knife"}),
        ("stop sign", {"stop sign"}),
        ("dining tables", {"dining table"}),
        ("puppies", {"dog"}),
        ("red", set()),
        ("", set()),
    ],
)
def test_names_plurals_and_synonyms(words, text, expected):
    assert {NAMES[code] for code in words.named(text)} == expected


def test_every_category_names_itself_and_no_other(words):
    for code, name in enumerate(NAMES):
        assert words.named(name) == {code}
        for plural in plurals(name):
            assert words.named(plural) == {code}


def test_names_with_several_spellings():
    words = ClassWords(["sofa,couch", "street_light"])
    assert words.named("couches") == {0}
    assert words.named("a street light") == {1}


def test_near_words_name_at_most_one_class():
    table = {"cat": [1, 0, 0], "dog": [0.9, 0.5, 0], "feline": [1, 0.05, 0], "rock": [0, 0, 1], "stone": [0, 0.1, 1]}

    def vectors(words):
        found = np.array([table.get(word, [0, 0, 0]) for word in words], np.float32)
        return found, np.array([word in table for word in words])

    words = ClassWords(["cat", "dog"], vectors, 0.6)
    words.learn(["feline", "stone", "unheard"])
    assert words.named("feline") == {0}
    assert words.named("dog") == {1}  # its own name, however near the cat
    assert words.named("stone") == words.named("unheard") == frozenset()


def test_what_is_asked(words):
    assert asks_presence("is there a dog")
    assert asks_presence("are there any dogs in the picture")
    assert not asks_presence("is the dog asleep")
    assert asks_number("how many dogs are there")
    assert asks_colour("what colour is the bus")
    assert {NAMES[code] for code in counted_class(words, "how many hot dogs are on the table")} == {"hot dog"}
    assert {NAMES[code] for code in counted_class(words, "how many people have umbrellas")} == {"person"}
    assert counted_class(words, "is there a dog") == frozenset()
    assert as_number("12") == 12
    assert np.isnan(as_number("many"))
    assert np.isnan(as_number("99999"))
