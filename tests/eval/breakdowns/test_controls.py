from dataclasses import replace

import numpy as np
import pytest
from vqa_gs.eval.breakdowns.controls import Controls
from vqa_gs.eval.report.controls import controls_sentence
from vqa_gs.eval.report.summary import summarize
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.runs import RunSummary, SplitMetrics

ROWS = [
    (1, "what color is the", "other", "red", "white"),
    (2, "what color is the", "other", "blue", "white"),
    (3, "what color is the", "other", "white", "white"),
    (4, "how many", "number", "2", "3"),
]
TOP = {
    1: (("white", 3.0), ("red", 1.0)),
    2: (("white", 3.0), ("red", 1.0)),
    3: (("white", 3.0), ("red", 1.0)),
    4: (("3", 1.0), ("2", 0.5)),
}


@pytest.fixture
def train(training):
    return training(("what color is the", "white", 9), ("how many", "3", 4), ("how many", "2", 1))


def test_by_hand(scored, train, section_of):
    found = section_of("controls", scored(ROWS, train=train, top=TOP))
    third = pytest.approx(100 / 3)
    assert found.pop("parts") == {
        "number": {"questions": 1, "accuracy": 0, "seen_forbidden": 0, "prior_inverted": 100, "test_prior": 100},
        "other": dict.fromkeys(("accuracy", "seen_forbidden", "prior_inverted", "test_prior"), third)
        | {"questions": 3},
    }
    assert found == {
        "questions": 4,
        "accuracy": 25.0,
        # red is right once; of the numbers both were seen, so that nothing is left.
        "seen_forbidden": 25.0,
        "without": {"seen_forbidden": 25.0},
        # red for white thrice, 2 for 3.
        "prior_inverted": 50.0,
        # The test has red and white once each, which training shows 0 and 9 times; of the numbers 2 alone.
        "test_prior": 50.0,
        # blue is in no list.
        "ceiling": 75.0,
        # white of colours, 2 of numbers.
        "supported": 50.0,
        "vocabulary": 4,
        "top_k": 2,
    }


def test_subsets_have_their_own(scored, train, section_of):
    everything = scored(ROWS, train=train, top=TOP)
    parts = section_of(
        "controls", replace(everything, subsets={"answerable": np.array([0, 3]), "none": np.array([], int)})
    )
    assert set(parts["parts"]) == {"number", "other", "subset answerable"}
    part = parts["parts"]["subset answerable"]
    assert part == {"questions": 2, "accuracy": 0, "seen_forbidden": 50, "prior_inverted": 100, "test_prior": 100}


def test_there_are_none_without_training_or_other_answers(scored, train, section_of):
    assert section_of("controls", scored(ROWS, top=TOP)) is None
    assert section_of("controls", scored(ROWS, train=train)) is None


def content(**arms):
    """Returns a report's content of arms with OOD accuracy, and the baseline's tricks, seeds in a row."""
    runs = []
    for arm, values in arms.items():
        for seed, (overall, trick) in enumerate(values):
            section = Controls(9, overall, trick, trick - 5, 80.0, 90.0, 0.1, 50, None)
            scores = SplitMetrics("official", "ood_test", overall, 9, breakdowns={"controls": section})
            runs.append(
                RunSummary(name=f"{arm}{seed}", arm=arm, folder=f"{arm}{seed}", metrics={"ood_test": scores}, seed=seed)
            )
    return Content("official", runs)


def test_a_verdict_tells_who_is_not_above_the_tricks():
    text = controls_sentence(content(baseline=[(20.0, 57.0), (24.0, 59.0)], gs=[(30.0, 70.0)], far=[(60.0, 60.0)]))
    assert "type and answer of 0.1 % of the OOD questions" in text
    assert "“baseline”, which answers 22.0 % right, reaches 58.0 % with answers seen" in text
    assert "53.0 % with the prior inverted" in text
    assert "“gs” is not above that, so OOD accuracy alone does not tell that a model looks" in text
    assert "no other arm is above" in controls_sentence(content(baseline=[(20.0, 57.0)], gs=[(30.0, 70.0)]))
    assert controls_sentence(content(baseline=[(20.0, 25.0)], gs=[(30.0, 70.0)])).endswith("other arms are above that.")
    # Without a baseline the arm whose tricks get furthest.
    assert "“gs”, which answers" in controls_sentence(content(pairs=[(20.0, 25.0)], gs=[(30.0, 70.0)]))
    assert controls_sentence(content(gs=[(30.0, 70.0)])).endswith("with the prior inverted.")


def test_the_headline_tells_them():
    far = content(baseline=[(20.0, 57.0)], gs=[(30.0, 70.0)])
    assert summarize(far).headline.certainty.endswith(
        "But tricks on the answers' statistics alone bring “baseline” to 57.0 %."
    )
    assert summarize(content(baseline=[(20.0, 25.0)], gs=[(30.0, 70.0)])).headline.certainty.endswith(
        "Tricks on the answers' statistics alone bring “baseline” to 25.0 %, which is less."
    )


def test_without_controls_nothing_is_said():
    scores = SplitMetrics("official", "ood_test", 20.0, 9)
    run = RunSummary(name="a", arm="a", folder="a", metrics={"ood_test": scores}, seed=1)
    assert controls_sentence(Content("official", [run])) is None
    assert "tricks" not in summarize(Content("official", [run])).headline.text.lower()
