"""Gradient supervision by the word vectors of near-duplicate questions on one image."""

import pytest
import torch
from vqa_gs.pair_builders.alignment.tokens import align_tokens

from vqa_gs.objectives.decision import cosine
from vqa_gs.objectives.terms.gradient_supervision import GradientSupervisionSettings
from vqa_gs.tasks import TASKS
from vqa_gs.training.step import TrainingStep


def test_words_are_aligned_along_the_shortest_edit():
    # 0 0 a b c d / 0 a x c d e: b became x, e was added.
    a = torch.tensor([[0, 0, 5, 6, 7, 8], [0, 0, 0, 5, 6, 7]]).numpy()
    b = torch.tensor([[0, 5, 9, 7, 8, 4], [0, 0, 0, 5, 6, 7]]).numpy()
    found = align_tokens(a, b)
    assert found.index_a.tolist() == [[-1, -1, 1, 2, 3, 4], [-1, -1, -1, 3, 4, 5]]
    assert found.index_b.tolist() == [[-1, 2, 3, 4, 5, -1], [-1, -1, -1, 3, 4, 5]]
    assert found.moves_a.tolist() == (a > 0).tolist()
    assert found.moves_b.tolist() == (b > 0).tolist()


def test_gradient_by_words_against_finite_differences(make_model, make_batch):
    model, batch = make_model().eval(), make_batch("identity")
    step = TrainingStep(
        model, {"gradient_supervision": GradientSupervisionSettings(weight=1.0, place="question")}, TASKS["vqa"]
    )
    seen = []
    step.terms["gradient_supervision"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].ends))
    _, sums, counts = step(batch)
    (ends,) = seen
    words, direction = ends.inputs["question"].detach(), ends.directions["question"]
    assert direction.shape == words.shape == (6, 6, 8)
    assert not direction[:, 0].any()  # padding

    there = batch.tokens != 0

    def score(moved, end):
        logits = model.answer(
            batch.features[end : end + 1], batch.mask[end : end + 1], model.encode(moved, there[end : end + 1], True)
        ).logits
        return logits[0, batch.labels[end]] - logits[0, ends.partner_labels[end]]

    numeric = torch.zeros_like(words)
    with torch.no_grad():
        for end in range(6):
            for at in range(words[end].numel()):
                values = []
                for change in (1e-6, -1e-6):
                    moved = words[end : end + 1].clone()
                    moved.view(-1)[at] += change
                    values.append(score(moved, end))
                numeric[end].view(-1)[at] = (values[0] - values[1]) / 2e-6
    expected, moves = cosine(numeric, direction)
    assert moves.all()
    assert float(sums["gs_cosine"] / counts["gs_cosine"]) == pytest.approx(float(expected.mean()), abs=1e-7)


def test_equal_questions_teach_nothing(make_model, make_batch, run_step):
    batch = make_batch("identity")
    batch.tokens[3:6] = batch.tokens[:3]
    words = align_tokens(batch.tokens[:3].numpy(), batch.tokens[3:6].numpy())
    batch.word_alignment = words.to("cpu")
    means = run_step(
        make_model(), batch, gradient_supervision=GradientSupervisionSettings(weight=1.0, place="question")
    )[2]
    assert "gs_loss" not in means


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_second_derivative_through_the_recurrent_network_on_cuda(make_model, make_batch, run_step):
    gs = GradientSupervisionSettings(weight=1.0, place="question")
    expected = run_step(
        make_model(dropout_attention=0.0, dropout_classifier=0.0), make_batch(), gradient_supervision=gs
    )
    model = make_model(dropout_attention=0.0, dropout_classifier=0.0).cuda()
    found = run_step(model, make_batch().to(torch.device("cuda")), gradient_supervision=gs)
    torch.testing.assert_close(found[0].cpu(), expected[0])
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name].cpu(), gradient, rtol=1e-8, atol=1e-10)
