"""The images that the rows of a batch are about: each row its own, or several questions one image.

An image of the usual sets has four or five questions. What a model does to its regions before it looks at the question
can be done once for all of them; attention is then a product of (images, questions, hidden) by (images, hidden,
regions), and pooling one of (images, questions, regions) by (images, regions, dim). No copy of the regions is made for
a question. Images have different numbers of questions, so questions are spread over places, of which some stay empty:
at 36 regions a place costs half a thousandth of what the image's regions do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Sharing:
    """Which of some images each of n rows is about.

    Attributes:
        slot: (n,) int64, ``image * width + place``; no two rows have the same.
        images: how many there are.
        width: places an image has, as many as the one with most questions needs.
    """

    slot: Tensor
    images: int
    width: int

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64]) -> Sharing:
        """Lays out rows that stand one image after the other, ``counts: (images,)`` of each, none of them 0."""
        width = int(counts.max(initial=1))
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        image = np.repeat(np.arange(len(counts)), counts)
        return cls(torch.from_numpy(image * width + place), len(counts), width)

    def __len__(self) -> int:
        return len(self.slot)

    @property
    def image(self) -> Tensor:
        """(n,) int64, each row's image."""
        return self.slot // self.width

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Sharing:
        """Returns the same on a device."""
        return Sharing(self.slot.to(device, non_blocking=non_blocking), self.images, self.width)

    def spread(self, rows: Tensor) -> Tensor:
        """Returns (n, ...) rows as (images, width, ...), zero where a place is empty."""
        places = rows.new_zeros(self.images * self.width, *rows.shape[1:])
        return places.index_copy(0, self.slot, rows).unflatten(0, (self.images, self.width))

    def collect(self, places: Tensor) -> Tensor:
        """Returns the (n, ...) rows that were spread over ``places: (images, width, ...)``."""
        return places.flatten(0, 1).index_select(0, self.slot)


def runs(keys: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns where runs of equal keys begin in ``keys: (n,)``, and how long each is."""
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return first, np.diff(first, append=len(keys))


def mean_of_regions(regions: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean (n, dim) of the regions (n, regions, dim) that are there, zero where none is."""
    there = mask.unsqueeze(-1).to(regions.dtype)
    return (regions * there).sum(1) / there.sum(1).clamp_min(1)


@dataclass
class Seen:
    """The images that the n rows of a batch are about.

    Attributes:
        regions: (m, regions, dim) float32, prepared, no gradient. Without ``sharing`` each row has its own and m is n.
            With it the pair ends have, and behind theirs stand the images of the ordinary rows, each once.
        mask: (m, regions) bool.
        sharing: which of the latter each ordinary row is about.
    """

    regions: Tensor
    mask: Tensor
    sharing: Sharing | None = None

    def of_rows(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Returns the regions (rows, regions, dim) and mask (rows, regions) that some rows are about.

        They are a view where these rows have their own, else a copy of each image for each of its rows.
        """
        if self.sharing is None:
            return self.regions[rows], self.mask[rows]
        image = self._image()
        if rows.indices(len(image))[1] <= len(self.regions) - self.sharing.images:
            return self.regions[rows], self.mask[rows]
        return self.regions[image[rows]], self.mask[image[rows]]

    def mean(self) -> Tensor:
        """Returns the mean (n, dim) of the regions that each row is about."""
        mean = mean_of_regions(self.regions, self.mask)
        return mean if self.sharing is None else mean[self._image()]

    def _image(self) -> Tensor:
        assert self.sharing is not None
        own = len(self.regions) - self.sharing.images
        return torch.cat([torch.arange(own, device=self.sharing.slot.device), self.sharing.image + own])
