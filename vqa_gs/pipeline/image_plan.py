"""What each step takes where questions share images: images are drawn, with all their questions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vqa_gs.pipeline.plan import Plan


def image_codes(image_ids: Sequence[Hashable]) -> NDArray[np.int64]:
    """Returns a number for each image, counted in the order of their first questions, (n,)."""
    codes: dict[Hashable, int] = {}
    return np.fromiter((codes.setdefault(image, len(codes)) for image in image_ids), np.int64, len(image_ids))


class Parts(NamedTuple):
    """Examples that share an image, as one list of them after the other.

    Attributes:
        examples: (n,) int64, the examples.
        first: (parts + 1,) int64, part p being ``examples[first[p]:first[p + 1]]``.
    """

    examples: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int64], order: NDArray[np.int64], most: int) -> Parts:
        """Groups examples by image, those of an image in a given order; no part has more than ``most``.

        Args:
            codes: (n,) the image of each example.
            order: (n,) a permutation of the examples.
            most: examples of a part, at the most.
        """
        examples = order[np.argsort(codes[order], kind="stable")]
        image = codes[examples]
        is_new = np.ones(len(image), bool)
        np.not_equal(image[1:], image[:-1], out=is_new[1:])
        start = np.flatnonzero(is_new)
        place = np.arange(len(image)) - np.repeat(start, np.diff(start, append=len(image)))
        return cls(examples, np.append(np.flatnonzero(place % most == 0), len(image)))

    def arranged(self, order: NDArray[np.int64]) -> Parts:
        """Returns the parts in another order."""
        lengths = np.diff(self.first)[order]
        first = np.concatenate([[0], np.cumsum(lengths)])
        return Parts(self.examples[np.arange(first[-1]) + np.repeat(self.first[order] - first[:-1], lengths)], first)

    def cut(self, batches: int) -> NDArray[np.int64]:
        """Returns where batches of about as many examples begin, as parts, (batches + 1,).

        A part belongs to the batch in whose share of the examples it begins. None is empty if no part is larger than
        such a share.
        """
        # In whole numbers: part p begins in batch b if b <= first[p] * batches / n < b + 1.
        batch = self.first[:-1] * batches // max(1, int(self.first[-1]))
        return np.searchsorted(batch, np.arange(batches + 1))


def shares(wanted: bool | Literal["auto"], images: NDArray[np.int64]) -> bool:
    """Says whether training lets questions share their images, as far as its settings and questions say.

    Args:
        wanted: the setting; ``"auto"``: where it saves as much as half of what images cost.
        images: (ordinary,) int64, the image of each ordinary question.
    """
    return len(images) >= 2 * len(np.unique(images)) > 0 if wanted == "auto" else wanted


class ImagePlan(Plan):
    """A plan whose steps draw images with all their questions, about ``batch_size`` of them, see `Plan`.

    An image is drawn once an epoch. If it has more than ``most`` questions it is drawn in parts, of which each holds
    others in each epoch: a batch should not be about a few images. There are as many steps an epoch as where questions
    are drawn, all of about one size.

    Args:
        images: (ordinary,) int64, the image of each ordinary question.
        most: questions of an image in one draw, at the most; fewer where a batch could not hold a draw for each
            process otherwise.
        pairs: number of pairs.
        batch_size: ordinary questions a step, over all processes.
        pairs_per_batch: pairs a step, over all processes.
        seed: seed of the order.
        rank: which process this is; it gets a share of a step's images.
        world: of how many.
    """

    by_image = True

    def __init__(
        self,
        images: NDArray[np.int64],
        most: int,
        pairs: int,
        batch_size: int,
        pairs_per_batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(len(images), pairs, batch_size, pairs_per_batch, seed, rank, world)
        self.images = images
        self.most = max(1, min(most, len(images) // self.steps_per_epoch // world))
        self._epochs: dict[int, tuple[Parts, NDArray[np.int64]]] = {}

    def _examples(self, epoch: int, at: int) -> tuple[NDArray[np.int64], int]:
        parts, bounds = self._drawn(epoch)
        first, last = int(bounds[at]), int(bounds[at + 1])
        mine = [parts.examples[parts.first[p] : parts.first[p + 1]] for p in range(first + self.rank, last, self.world)]
        return np.concatenate([np.empty(0, np.int64), *mine]), int(parts.first[last] - parts.first[first])

    def _drawn(self, epoch: int) -> tuple[Parts, NDArray[np.int64]]:
        """Returns the parts of an epoch in the order they are drawn, and where each step begins."""
        if epoch not in self._epochs:
            if len(self._epochs) > 2:
                self._epochs.clear()
            rng = np.random.default_rng([self.seed, 2, epoch])
            parts = Parts.of(self.images, rng.permutation(self.ordinary), self.most)
            parts = parts.arranged(rng.permutation(len(parts.first) - 1))
            self._epochs[epoch] = parts, parts.cut(self.steps_per_epoch)
        return self._epochs[epoch]
