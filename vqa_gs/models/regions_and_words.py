"""What models over regions, and models over words, share: standardised features, word vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqa_gs.common.errors import UsageError


class StandardizedRegions(nn.Module):
    """A model over regions whose feature dimensions can be brought to mean 0 and deviation 1.

    Args:
        region_dim: numbers a region has in the store.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, region_dim: int) -> None:
        super().__init__()
        self.region_dim = region_dim
        self.register_buffer("mean", torch.zeros(region_dim))
        self.register_buffer("inverse_std", torch.ones(region_dim))

    def fit_regions(self, mean: Tensor, std: Tensor) -> None:
        """Takes the training regions' mean and deviation; dimensions that never vary are only centred."""
        self.mean.copy_(mean)
        self.inverse_std.copy_(torch.where(std > 1e-6, 1 / std.clamp_min(1e-6), torch.ones_like(std)))

    def standardized(self, features: Tensor) -> Tensor:
        """Returns standardised features (..., region_dim); padding is no longer zero."""
        return (features - self.mean) * self.inverse_std


class WordVectors(nn.Module):
    """A model with an embedding of words, index 0 being padding, that takes pretrained vectors.

    Attributes:
        embedding: (words, word_dim).
        unknown_scale: what the vectors of words that are not found are multiplied by.
    """

    embedding: nn.Embedding
    unknown_scale = 1.0

    @torch.no_grad()
    def load_word_vectors(self, vectors: Tensor, found: Tensor) -> None:
        """Overwrites the vectors of the words that ``found: (words,) bool`` marks; the padding's stays zero.

        Args:
            vectors: (words, word_dim).
            found: (words,) bool.

        Raises:
            UsageError: the vectors have another dimension than the model's.
        """
        if vectors.shape != self.embedding.weight.shape:
            raise UsageError(
                f"the word vectors are {tuple(vectors.shape)}, the model has {tuple(self.embedding.weight.shape)}",
                mend=f"set model.word_dim to {vectors.shape[-1]}",
            )
        found = found.clone()
        found[0] = False
        self.embedding.weight.mul_(self.unknown_scale)
        self.embedding.weight[found] = vectors[found]
