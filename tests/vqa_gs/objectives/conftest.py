import pytest
import torch

from vqa_gs.contracts import TrainingStatistics
from vqa_gs.models.vqa import MODELS
from vqa_gs.models.vqa.updn import UpDnSettings
from vqa_gs.objectives.terms.answer import AnswerSettings
from vqa_gs.tasks import TASKS
from vqa_gs.tasks.vqa.batches import VqaBatch
from vqa_gs.training.step import TrainingStep

PAIRS, ORDINARY, REGIONS, DIM, ANSWERS, WORDS, LENGTH, TYPES = 3, 4, 5, 12, 7, 20, 6, 2


@pytest.fixture
def make_model():
    def make(dtype=torch.float64, **settings):
        torch.manual_seed(0)
        sizes = {"hidden": 16, "word_dim": 8, "dropout_attention": 0.3, "dropout_classifier": 0.4}
        return MODELS["updn"](DIM, WORDS, ANSWERS, UpDnSettings(**{**sizes, **settings})).to(dtype)

    return make


def _alignment(kind, generator):
    """Gather indices of all regions in order, of a random matching with gaps, or of two regions only."""
    index = torch.arange(REGIONS).repeat(PAIRS, 1)
    if kind in ("identity", "masked"):
        every = torch.ones(PAIRS, REGIONS, dtype=torch.bool)
        return index, every, index.clone(), every.clone()
    index_a, index_b = torch.full((PAIRS, REGIONS), -1), torch.full((PAIRS, REGIONS), -1)
    for pair in range(PAIRS):
        order = torch.randperm(REGIONS, generator=generator)
        for k in range(2 if kind == "sparse" else REGIONS - 1):
            index_a[pair, k], index_b[pair, order[k]] = order[k], k
    moves = (index_a >= 0, index_b >= 0) if kind == "sparse" else (torch.ones(PAIRS, REGIONS, dtype=torch.bool),) * 2
    return index_a, moves[0], index_b, moves[1]


@pytest.fixture
def make_batch():
    def make(kind="identity", dtype=torch.float64, ordinary=ORDINARY):
        generator = torch.Generator().manual_seed(1)
        rows = 2 * PAIRS + ordinary
        features = torch.randn(rows, REGIONS, DIM, generator=generator, dtype=torch.float64)
        mask = torch.ones(rows, REGIONS, dtype=torch.bool)
        tokens = torch.randint(2, WORDS, (rows, LENGTH), generator=generator)
        tokens[:, 0] = 0
        labels = torch.arange(2 * PAIRS) % ANSWERS
        if kind == "masked":
            # The ends b are the images a with regions removed; one of them keeps nothing and has no answer.
            features[PAIRS : 2 * PAIRS] = features[:PAIRS]
            mask[PAIRS, 1] = mask[PAIRS + 1, 3:] = mask[PAIRS + 2] = False
            labels[PAIRS + 2] = -1
        elif kind == "identity":
            # Edited images: most regions are the same.
            features[PAIRS : 2 * PAIRS, 2:] = features[:PAIRS, 2:]
        if kind in ("matched", "sparse"):
            mask[-1, 4] = False
        features *= mask.unsqueeze(-1)
        targets = torch.rand(rows, ANSWERS, generator=generator, dtype=torch.float64)
        return VqaBatch(
            features=features.to(dtype),
            boxes=torch.rand(rows, REGIONS, 4, generator=generator),
            sizes=torch.ones(rows, 2),
            mask=mask,
            tokens=tokens,
            targets=targets.to(dtype),
            labels=labels,
            alignment=_alignment(kind, generator),
            word_alignment=_words(tokens),
            weight=torch.linspace(0.5, 1.5, PAIRS).repeat(2).to(dtype),
            rows=float(rows),
            end_rows=float(2 * PAIRS),
            epoch=1.0,
            seed=7,
            question_type=torch.arange(rows) % TYPES,
        )

    return make


def _words(tokens):
    from vqa_gs.pair_builders.alignment.tokens import align_tokens

    return align_tokens(tokens[:PAIRS].numpy(), tokens[PAIRS : 2 * PAIRS].numpy()).to("cpu")


@pytest.fixture
def make_step():
    def make(model, **objectives):
        """Returns a training step, the terms' parameters of the model's type."""
        prior = torch.rand(TYPES, ANSWERS, generator=torch.Generator().manual_seed(2))
        prior[0, :2] = torch.tensor([0.0, 1.0])
        statistics = TrainingStatistics(
            [str(answer) for answer in range(ANSWERS)], answer_prior=lambda: prior, sizes=model.widths()
        )
        torch.manual_seed(3)
        step = TrainingStep(model, objectives, TASKS["vqa"], statistics)
        return step.to(next(model.parameters()).dtype)

    return make


@pytest.fixture
def run_step(make_step):
    def run(model, batch, answer=True, **terms):
        """Returns loss, gradients by parameter and the means reported, of one training step."""
        step = make_step(model, **({"answer": AnswerSettings(), **terms} if answer else terms))
        model.zero_grad(set_to_none=True)
        loss, sums, counts = step(batch)
        loss.backward(inputs=list(model.parameters()))
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        return loss.detach(), gradients, {name: float(sums[name] / counts[name]) for name in sums if counts[name]}

    return run
