"""What terms require and task or model do not provide is told before any file is read."""

import copy

import pytest

from tests.run_settings import config_of
from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import Objective
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.training.config import computed
from vqa_gs.training.loop import train

MISSING = {"data": {"train": {"questions": "none", "annotations": "none"}, "features": "none", "pairs": ["none"]}}


def refused(given, **changes):
    with pytest.raises(UsageError) as found:
        config_of(given, **changes).check()
    return str(found.value)


def test_inputs_that_a_model_of_questions_does_not_have(tmp_path):
    for place in ("words", "pooled", "encoded"):
        gs = {"objectives__gradient_supervision": {"weight": 1.0, "place": place}}
        told = refused(MISSING, **gs)
        assert f"the objective gradient_supervision needs the gradient by {place}" in told
        assert "updn" in told
        assert "sentiment (bag, bigru, convolved)" in told
        with pytest.raises(UsageError, match="needs"):  # and not that the files are missing
            train(config_of(MISSING, **gs), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_inputs_that_no_model_has():
    told = refused(MISSING, objectives__gradient_supervision={"weight": 1.0, "place": "smell"})
    assert "needs the gradient by smell" in told
    assert "no task or model has it" in told


def test_a_model_without_the_trace_has_no_closed_form():
    closed = {"objectives__gradient_supervision": {"weight": 1.0, "cost": "closed_form"}}
    config_of(MISSING, **closed).check()
    told = refused(MISSING, model__activation="gated_tanh", **closed)
    assert "needs the attention's trace" in told
    assert "vqa (updn)" in told


def test_texts_are_asked_once(sentiment_like):
    told = refused(sentiment_like, objectives__negative_image={"weight": 1.0})
    assert "the objective negative_image needs another forward pass" in told


def test_pairs_are_named_as_files():
    given = copy.deepcopy(MISSING)
    given["data"]["pairs"] = []
    told = refused(given, objectives__gradient_supervision={"weight": 1.0})
    assert "needs pairs" in told
    assert "data.pairs" in told


@pytest.fixture
def sentiment_like():
    return {"task": "sentiment", "data": {"train": "none", "iid_val": ["none"], "pairs": ["none"]}}


def test_a_term_in_the_place_of_another(monkeypatch):
    class Instead(Objective):
        Settings = AnswerSettings
        replaces = frozenset({"answer"})

    class Also(Instead):
        pass

    for name, kind in (("instead", Instead), ("also", Also)):
        monkeypatch.setitem(OBJECTIVES._parts, name, kind)
    settings = AnswerSettings()
    assert computed({"answer": settings, "instead": settings, "zero_out": settings}) == ["instead", "zero_out"]
    with pytest.raises(UsageError, match="objectives.instead and objectives.also both stand in the place of"):
        computed({"answer": settings, "instead": settings, "also": settings})
