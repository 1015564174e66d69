"""The prior given back at test time."""

import json
import math

import pytest
import torch

from tests.vqa_gs.training.test_loop import config_of
from vqa_gs.cli import main
from vqa_gs.common.errors import UsageError
from vqa_gs.contracts import ModelOutput, TrainingStatistics, asked
from vqa_gs.objectives.terms.prior_at_test import PriorAtTest, PriorAtTestSettings, log_prior
from vqa_gs.training.loop import train

PRIOR = torch.tensor([[0.6, 0.2, 0.0], [0.0, 0.0, 0.0]])


def test_worked_by_hand():
    found = log_prior(PRIOR, 0.3).exp().tolist()
    assert found[0] == pytest.approx([0.7 * 0.75 + 0.1, 0.7 * 0.25 + 0.1, 0.1])
    assert found[1] == pytest.approx([1 / 3] * 3)  # nothing is known of the type
    assert found[2] == pytest.approx(found[0])  # and so nothing of it goes into the mean
    term = PriorAtTest(
        PriorAtTestSettings(weight=2.0, smooth=0.3), TrainingStatistics(["a", "b", "c"], answer_prior=lambda: PRIOR)
    )
    logits = torch.tensor([[0.0, 1.0, 2.0]] * 3)
    said = asked([term], ModelOutput(logits), torch.tensor([0, 1, -1])).logits
    assert said[0].tolist() == pytest.approx([2 * math.log(0.625), 1 + 2 * math.log(0.275), 2 + 2 * math.log(0.1)])
    assert (said[1] - logits[1]).tolist() == pytest.approx([2 * math.log(1 / 3)] * 3)
    assert said[2].tolist() == said[0].tolist()


def test_smoothing_of_nothing_is_refused():
    with pytest.raises(UsageError, match=r"prior_at_test.smooth must be above 0"):
        PriorAtTestSettings(smooth=0.0)


def test_training_is_the_same_and_predict_gives_the_runs_own_answers(tiny, tmp_path):
    short = {"training__max_steps": 4, "data__pairs": [], "objectives__gradient_supervision__weight": 0}
    plain = train(config_of(tiny, **short), tmp_path / "plain", quiet=True)
    # So strong a prior decides alone: what training says most is said no more.
    given = train(config_of(tiny, **short, objectives__prior_at_test__weight=-1e4), tmp_path / "given", quiet=True)
    assert (plain / "model.safetensors").read_bytes() == (given / "model.safetensors").read_bytes()

    config, out = config_of(tiny), tmp_path / "answers.json"
    questions = config.data.tests["ood_test"].questions
    words = ["predict", "--run", given, "--questions", questions, "--features", config.data.features, "--out", out]
    assert main(list(map(str, words))) == 0
    own = json.loads((given / "predictions" / "ood_test.json").read_text())
    assert json.loads(out.read_text()) == own
    asked_for = json.loads((given / "question_types.json").read_text())["names"]
    assert len({row["answer"] for row in own}) <= len(asked_for) + 1  # questions of no type have one too
    assert own != json.loads((plain / "predictions" / "ood_test.json").read_text())


def test_priors_reported_beside_are_those_of_the_term(tiny, tmp_path):
    short = {"training__max_steps": 4, "training__report_priors": [-2.0, 0.4]}
    beside = train(config_of(tiny, **short), tmp_path / "beside", quiet=True)
    for weight, name in ((-2.0, "-2"), (0.4, "0.4")):
        with_term = config_of(tiny, training__max_steps=4, objectives__prior_at_test__weight=weight)
        given = train(with_term, tmp_path / f"given{name}", quiet=True)
        for split in ("iid_val", "ood_test"):
            for folder in ("metrics", "predictions"):
                found, expected = (
                    json.loads((run / folder / f"{file}.json").read_text())
                    for run, file in ((beside, f"{split}_prior_{name}"), (given, split))
                )
                if folder == "metrics":
                    assert found.pop("split") == f"{split}_prior_{name}"
                    expected.pop("split")
                assert found == expected
    assert (beside / "predictions" / "ood_test.json").read_bytes() != (
        beside / "predictions" / "ood_test_prior_-2.json"
    ).read_bytes()


@pytest.mark.parametrize("weights", [[0.4, 0.4], [0.0], [math.inf]])
def test_priors_that_make_no_report_are_refused(tiny, weights):
    with pytest.raises(UsageError, match=r"training.report_priors"):
        config_of(tiny, training__report_priors=weights)
