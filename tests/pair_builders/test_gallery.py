import json
import re

import numpy as np
import pytest
from vqa_gs.pair_builders.ends import Ends
from vqa_gs.pair_builders.gallery.content import Gallery, sample
from vqa_gs.pair_builders.gallery.page import render_gallery
from vqa_gs.pair_builders.table import PairTable, concatenate

from vqa_gs.common.errors import DataError

NASTY = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>&\u2028"


@pytest.fixture
def questions(make_questions):
    return make_questions(
        [
            (1, 10, "Is there a dog?", ["yes"] * 8 + ["no"] * 2),
            (2, 20, "Is there a dog?", "no"),
            (3, 20, NASTY, NASTY),
        ]
    )


@pytest.fixture
def store(make_store):
    boxes = [[0, 0, 10, 10], [5, 5, 40, 40], [20, 0, 99, 49]]
    return make_store({10: (np.eye(3), boxes), 20: (np.diag([1.0, 5.0, 2.0]), boxes)})


def tables():
    return [
        PairTable.of_one_kind("same-question", [1], [2], alignment="sparse", rows=[[[0, 2], [1, -1]]], distance=[0.25]),
        PairTable.of_one_kind("same-question", [1], [3], alignment="matched", rows=[[[0, 0], [1, 1], [2, 2]]]),
        PairTable.of_one_kind("masked", [2], [2], masks=[[0, 1, 0]], answer_b=[""]),
        PairTable.of_one_kind("masked", [2], [3], weight=0.5),
    ]


def test_what_is_shown(questions, store):
    table = concatenate(tables())
    payload = Gallery(table, Ends(questions), store).payload(np.arange(4))
    sparse, matched, masked, identity = payload["rows"]
    assert (payload["kinds"][sparse["k"]], payload["alignments"][sparse["al"]]) == ("same-question", "sparse")
    assert (sparse["d"], sparse["w"], matched["d"], identity["w"]) == (0.25, 1.0, None, 0.5)
    assert sparse["m"] == [[[0, 0], [1, 1]], [[2, 0]]]
    # The longest direction first, and none of length zero: |5 - 1| of region 1, |2 - 1| of region 2.
    assert matched["m"] == [[[1, 0], [2, 1]]] * 2
    assert masked["m"] == [[[0, 0], [2, 1]]] * 2
    assert identity["m"] == [[], []]
    texts = payload["texts"]
    assert sparse["e"][0]["a"] == "yes"
    assert [(texts[text], count) for text, count in sparse["e"][0]["g"]] == [("yes", 8), ("no", 2)]
    assert (masked["e"][1]["a"], masked["e"][1]["new"]) == ("", True)
    assert [image["id"] for image in payload["images"]] == [10, 20]
    assert payload["images"][0]["size"] == [100, 50]
    assert payload["images"][0]["boxes"][1] == [5, 5, 40, 40]


def test_without_regions(questions):
    payload = Gallery(tables()[0], Ends(questions)).payload(np.arange(1))
    assert payload["rows"][0]["m"] == [[], []]
    assert payload["images"] == [{"id": 10}, {"id": 20}]


def test_unknown_questions_are_named(questions):
    table = PairTable.of_one_kind("edited", [1], ["gone"])
    with pytest.raises(DataError, match="pair 0.*gone|gone.*pair 0"):
        Gallery(table, Ends(questions)).payload(np.arange(1))


def test_a_sample_has_equal_shares_of_each_kind():
    rare, common = np.zeros(3, np.int64), np.zeros(90, np.int64)
    table = concatenate([PairTable.of_one_kind("common", common, common), PairTable.of_one_kind("rare", rare, rare)])
    pairs = sample(table, 10, 0)
    assert len(set(pairs.tolist())) == 10
    assert (table.kind[pairs] == 1).sum() == 3
    assert (np.diff(pairs) > 0).all()
    assert (sample(table, 10, 0) == pairs).all()
    assert (sample(table, 10, 1) != pairs).any()
    assert (sample(table, 100, 0) == np.arange(93)).all()


def test_nothing_from_outside_becomes_markup(questions, store):
    page = render_gallery(NASTY, Gallery(concatenate(tables()), Ends(questions), store).payload(np.arange(4)))
    assert page.count("<script") == 2
    assert "<img" not in page
    data = re.search(r'id="data">(.*?)</script>', page, re.S)[1]
    assert json.loads(data)["rows"][1]["e"][1]["q"] == NASTY
