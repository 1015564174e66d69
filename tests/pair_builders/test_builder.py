import dataclasses

import jsonargparse
import pytest
from vqa_gs.pair_builders.builder import BUILDERS
from vqa_gs.pair_builders.ends import Ends
from vqa_gs.pair_builders.sources import PairSources

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.data.questions import QuestionSet


def test_builders_are_found():
    assert {"same-question", "edited", "shuffled"} <= set(BUILDERS)
    with pytest.raises(UsageError, match="no pair builder called 'same'"):
        BUILDERS["same"]


@pytest.mark.parametrize("kind", ["same-question", "near-duplicate", "complementary", "masked", "edited", "shuffled"])
def test_settings_are_frozen_described_and_become_options(kind):
    builder = BUILDERS[kind]
    assert builder.name == kind
    settings = builder.Settings()
    field = dataclasses.fields(settings)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, field, 1)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(builder.Settings, None)
    helped = {action.dest: action.help for action in parser._actions}
    for name in (part.name for part in dataclasses.fields(settings)):
        assert helped[name], f"{name} has no description"
    parsed = parser.parse_args([])
    assert builder.Settings(**parsed.as_dict()) == settings


def test_options_are_checked_by_type():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(BUILDERS["same-question"].Settings, None)
    parsed = parser.parse_args(["--partners=5", "--alignment=sparse", "--box_weight=0"])
    assert BUILDERS["same-question"].Settings(**parsed.as_dict()).partners == 5
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args(["--alignment=none"])


@pytest.mark.parametrize(
    "change",
    [
        {"partners": 0},
        {"max_group": 1},
        {"alignment": "identity"},
        {"sparse_regions": 0},
        {"box_weight": -1.0},
        {"weight": float("nan")},
    ],
)
def test_settings_without_sense(change):
    with pytest.raises(UsageError):
        BUILDERS["same-question"].Settings(**change)


def test_what_is_missing_is_named(make_questions, make_store):
    questions = make_questions([(1, 10, "Is it?", "yes")])
    with pytest.raises(UsageError, match="these pairs need a region store"):
        BUILDERS["same-question"].build(PairSources(questions))
    store = make_store({10: [[1.0]]})
    with pytest.raises(UsageError, match="edited pairs need a list of the pairs"):
        BUILDERS["edited"].build(PairSources(questions, store))
    unanswered = QuestionSet(questions.questions, None, questions.sources)
    with pytest.raises(UsageError, match=r"questions\.json: same-question pairs need the questions' answers"):
        BUILDERS["same-question"].build(PairSources(unanswered, store))


def test_ends(make_questions):
    ends = Ends(make_questions([(1, 10, "Is it?", "Yes."), ("x", 11, "Is it?", "no")]))
    assert ends.image("x") == 11
    assert ends.asked(0) == ("is it", "yes")
    assert ends.annotation(2) is None
    ends.require(1, "f", "row 0")
    with pytest.raises(DataError, match=r"f: row 3: there is no question '1'.*write them alike"):
        ends.require("1", "f", "row 3")
    with pytest.raises(DataError, match="same release"):
        ends.require("y", None, "row 3")
