import pytest
import torch

from vqa_gs.objectives import OBJECTIVES, Ends, Step
from vqa_gs.objectives.answer import AnswerSettings, answer_loss


def test_is_the_mean_times_the_number_of_answers():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 7, dtype=torch.float64), torch.rand(3, 7, dtype=torch.float64)
    p = 1 / (1 + torch.exp(-logits))
    by_hand = -(targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).sum(1)
    torch.testing.assert_close(answer_loss(logits, targets), by_hand)


def test_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        answer_loss(torch.zeros(2, 3), torch.zeros(2, 4))


def test_pair_rows_can_be_left_out():
    logits, targets = torch.randn(4, 3), torch.rand(4, 3)
    ends = Ends(logits[:2], {}, {}, targets[:2], torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2))
    step = Step(logits, targets, torch.ones(4), 4.0, ends, 2.0)
    rows = answer_loss(logits, targets)
    term = OBJECTIVES["answer"]
    torch.testing.assert_close(term(AnswerSettings())(step).loss, rows.mean())
    torch.testing.assert_close(term(AnswerSettings(pair_rows=0.0))(step).loss, rows[2:].sum() / 4)
    assert step.row_weight.tolist() == [1, 1, 1, 1]
