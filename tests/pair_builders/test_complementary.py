import json

import numpy as np
import pytest
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError

builder = BUILDERS["complementary"]
ROWS = [
    (262148000, 262148, "Is it open?", "yes"),
    (393225000, 393225, "Is it open?", "no"),
    (393226001, 393226, "What is it?", "dog"),
    (393227001, 393227, "What is it?", "Dog."),
]
IMAGES = {262148: [[1.0, 0]], 393225: [[0, 1.0], [1, 0]], 393226: [[0, 2.0]], 393227: [[2.0, 2]]}


@pytest.fixture
def sources(make_questions, make_store):
    return PairSources(make_questions(ROWS), make_store(IMAGES))


def test_pairs_of_which_both_ends_are_at_hand(sources, tmp_path):
    lists = [tmp_path / "v2_mscoco_train2014_complementary_pairs.json", tmp_path / "val.json"]
    lists[0].write_text(json.dumps([[393225000, 262148000], [262148000, 393225000], [262148000, 5]]))
    lists[1].write_text(json.dumps([[393226001, 393227001], [262148000, 393225000]]))
    table = builder.build(sources, builder.Settings(pairs=lists))
    assert (table.question_a.tolist(), table.question_b.tolist()) == ([393225000], [262148000])
    assert table.settings["complementary"]["dropped"] == {"not at hand": 1, "equal answers": 1, "repeated": 2}
    assert {str(path) for path in lists} <= set(table.sources)
    assert table.rows.tolist() == [[0, -1], [1, 0]]
    assert np.isfinite(table.distance).all()


def test_lists_that_do_not_fit(sources, tmp_path):
    with pytest.raises(UsageError, match="need their list"):
        builder.build(sources)
    path = tmp_path / "other.json"
    path.write_text("[[1, 2]]")
    with pytest.raises(DataError, match=r"other\.json: row 0: there is no question 1 in questions\.json"):
        builder.build(sources, builder.Settings(pairs=[path]))
