"""The branch over the question against worked examples: RUBi, CF-VQA, GGE-DQ, LPF."""

import math

import pytest
import torch
from torch.nn import functional

from tests.vqa_gs.objectives.test_debiasing import PRIOR, numbers, term_of
from vqa_gs.contracts import ModelOutput, asked, mean_of_regions
from vqa_gs.objectives.losses import answer_loss, loss_of
from vqa_gs.objectives.terms.question_branch import QuestionBranchSettings, focal_weight, fused


def test_rubi_masks_the_logits():
    q, z = numbers([3, 0, -3]), numbers([2, -1, 0.5])
    mask = torch.sigmoid(q)
    assert mask[0].tolist() == pytest.approx([0.9526, 0.5, 0.0474], abs=6e-5)
    assert (z * mask)[0].tolist() == pytest.approx([1.9051, -0.5, 0.0237], abs=6e-5)
    term = term_of("question_branch", QuestionBranchSettings(output="softmax"), PRIOR, {"question": 2})
    for answer, loss, plain in ((0, 0.21722, 0.24131), (2, 2.09866, 1.74131)):
        y = torch.eye(3).double()[[answer]]
        assert term._changed(z, q, q, y).item() == pytest.approx(loss, abs=6e-6)
        assert loss_of("softmax", z, y).item() == pytest.approx(plain, abs=6e-6)


def test_cf_vqa_fusions_and_its_answers():
    zk, zq, zv, c = numbers(2, -1, 0.5), numbers(1, 3, -2), numbers(0, 0.5, 0.5), numbers(0, 0, 0)
    total, direct = (functional.logsigmoid(fused("sum", *parts)) for parts in ((zk, zq, zv), (c, zq, c)))
    assert total.tolist() == pytest.approx([-0.0486, -0.0789, -1.3133], abs=6e-5)
    assert direct.tolist() == pytest.approx([-0.3133, -0.0486, -2.1269], abs=6e-5)
    assert (total - direct).tolist() == pytest.approx([0.2647, -0.0303, 0.8137], abs=6e-5)
    parts = ((zk, zq, zv), (c, zq, c))
    total, direct = (functional.logsigmoid(fused("harmonic", *part)) for part in parts)
    assert (total - direct).tolist() == pytest.approx([0.4550, -0.3354, 0.4224], abs=6e-5)
    x = torch.sigmoid(zk) * torch.sigmoid(zq) * torch.sigmoid(zv)
    torch.testing.assert_close(total, torch.log(x) - torch.log1p(x))
    settings = QuestionBranchSettings(kind="cf_vqa", image_branch=False)
    term = term_of("question_branch", settings, PRIOR, {"question": 2})
    question = torch.randn(1, 2, dtype=torch.float64)
    with torch.no_grad():
        term.nothing_seen.fill_(0.7)
        states, _ = term.question(question)
        types = torch.zeros(1, dtype=torch.int64)
        found = asked([term], ModelOutput(zk.unsqueeze(0), question=question), types).logits
        by_hand = functional.logsigmoid(zk + states) - functional.logsigmoid(0.7 + states)
        unseen = asked([term], ModelOutput(torch.full((1, 3), 0.7).double(), question=question), types).logits
    torch.testing.assert_close(found, by_hand)
    assert unseen.abs().max() < 1e-7  # nothing is left where the model says what it says of nothing


def test_cf_vqa_with_its_image_branch():
    term = term_of("question_branch", QuestionBranchSettings(kind="cf_vqa"), PRIOR, {"question": 2, "image": 4})
    zk, question = numbers([2, -1, 0.5]), torch.randn(1, 2, dtype=torch.float64)
    regions, mask = torch.randn(1, 3, 4, dtype=torch.float64), torch.tensor([[True, True, False]])
    mean = regions[:, :2].mean(1)
    with torch.no_grad():
        term.nothing_seen.fill_(0.7)
        (zq, _), (zv, _) = term.question(question), term.image(mean)
        seen = ModelOutput(zk, question=question, image=lambda: mean_of_regions(regions, mask))
        found = asked([term], seen, torch.zeros(1, dtype=torch.int64)).logits
        by_hand = functional.logsigmoid(zk + zq + zv) - functional.logsigmoid(0.7 + zq + 0.7)
    torch.testing.assert_close(found, by_hand)
    assert mean_of_regions(regions, mask & False).abs().max() == 0


def test_gge_dq_takes_away_the_prior_and_the_branch():
    z, q, b, y = numbers([1, -1, 0.5]), numbers([0.5, 2, -1]), numbers([0.9, 0.1, 0]), numbers([1, 0, 0])
    term = term_of("question_branch", QuestionBranchSettings(kind="gge_dq"), PRIOR, {"question": 2})
    bias = torch.sigmoid(q) + b
    target = 2 * y * torch.sigmoid(-2 * y * bias)
    torch.testing.assert_close(term._changed(z, q, q, y, b), answer_loss(z, target))
    one = term_of("question_branch", QuestionBranchSettings(kind="gge_dq", output="softmax"), PRIOR, {"question": 2})
    left = (y - torch.softmax(q, 1) - b).clamp(0, 1)
    torch.testing.assert_close(one._changed(z, q, q, y, b), -(left * torch.log_softmax(z, 1)).sum(1))


def test_only_cf_vqa_has_a_say_at_test_time():
    logits, question = torch.randn(1, 3).double(), torch.randn(1, 2).double()
    types = torch.zeros(1, dtype=torch.int64)
    for kind in ("rubi", "lpf", "gge", "gge_dq"):
        term = term_of("question_branch", QuestionBranchSettings(kind=kind), PRIOR, {"question": 2})
        assert asked([term], ModelOutput(logits, question=question), types).logits is logits
    assert asked([], ModelOutput(logits), types).logits is logits


@pytest.mark.parametrize(
    ("p", "gamma", "weight"), [(0.9, 5, 1e-5), (0.5, 5, 0.03125), (0.1, 5, 0.59049), (0.3, 0, 1), (0.9, 1, 0.1)]
)
def test_lpf_weighs_by_what_the_branch_knows(p, gamma, weight):
    branch, y = numbers([math.log(p), math.log(1 - p)]), numbers([1, 0])
    assert focal_weight(branch, y, gamma).item() == pytest.approx(weight, rel=1e-9)


def test_lpf_of_three_answers():
    q, y = numbers([2, 0, 0]), numbers([1, 0, 0])
    assert torch.softmax(q, 1)[0, 0].item() == pytest.approx(0.78699, abs=6e-6)
    assert focal_weight(q, y, 5.0).item() == pytest.approx(4.386e-4, abs=6e-8)
    assert focal_weight(q, y, 1.0).item() == pytest.approx(0.21301, abs=6e-6)
    term = term_of("question_branch", QuestionBranchSettings(kind="lpf", output="softmax"), PRIOR, {"question": 2})
    assert term._changed(torch.zeros(1, 3).double(), q, q, y).item() == pytest.approx(4.818e-4, abs=6e-8)
    assert focal_weight(q, torch.zeros(1, 3).double(), 5.0).item() == 1  # no answer in the vocabulary
    assert focal_weight(q, numbers([0.3, 0.3, 0]), 1.0).item() == pytest.approx(1 - (0.78699 + 0.10651) / 2, abs=6e-6)
