import pytest
import torch

from tests.vqa_gs.objectives.outputs import make_ends, make_outputs
from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.losses import answer_loss
from vqa_gs.objectives.terms.answer import AnswerSettings


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
    outputs = make_outputs(logits, targets, make_ends(logits[:2], targets[:2], [0, 1]))
    rows = answer_loss(logits, targets)
    term = OBJECTIVES["answer"]
    torch.testing.assert_close(term(AnswerSettings())(outputs).loss, rows.mean())
    torch.testing.assert_close(term(AnswerSettings(pair_rows=0.0))(outputs).loss, rows[2:].sum() / 4)
    assert outputs.row_weight.tolist() == [1, 1, 1, 1]
