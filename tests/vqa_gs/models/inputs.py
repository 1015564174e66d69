"""What models of regions and words are asked in their tests."""

import torch

from tests.vqa_gs.objectives.conftest import DIM, WORDS


def inputs(regions=5, rows=3, length=6, dim=DIM):
    """Features, mask and tokens; the first image has two regions less, the first question two words of padding."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(rows, regions, dtype=torch.bool)
    mask[0, max(regions - 2, 1) :] = False
    tokens = torch.randint(2, WORDS, (rows, length), generator=generator)
    tokens[0, :2] = 0
    features = torch.randn(rows, regions, dim, generator=generator, dtype=torch.float64)
    return features * mask.unsqueeze(2), mask, tokens


def ask(model, features, mask, tokens):
    """Answers from prepared regions."""
    return model.answer(features, mask, model.encode_tokens(tokens))
