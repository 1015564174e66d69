"""Groups of near-duplicate images: what is alike, directly or by way of others, is one group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.nearest.images import pooled_features, standardised
from vqa_gs.pair_builders.nearest.pictures import BITS, hash_pictures, nearest_hashes
from vqa_gs.pair_builders.nearest.search import nearest_images

from vqa_gs.common.errors import UsageError
from vqa_gs.data.questions import ImageId

# Of one image; groups grow beyond that by way of others.
_NEIGHBOURS = 16

Links = tuple[NDArray[np.int64], NDArray[np.int64]]


def alike_regions(image_ids: Sequence[ImageId], store: RegionStore, distance: float) -> Links:
    """Finds images whose mean regions, standardised, are alike.

    Args:
        image_ids: M images.
        store: their regions.
        distance: 1 - cosine, 0..2; at most this is alike.

    Returns:
        (E,) images and (E,) others, as positions.

    Raises:
        UsageError: the distance is out of range.
        DataError: an image is not in the store.
    """
    if not 0 <= distance <= 2:
        raise UsageError(f"a distance of {distance}", mend="choose one from 0 to 2, such as 0.05")
    near, found = nearest_images(standardised(pooled_features(store, image_ids)), _NEIGHBOURS)
    image, rank = np.nonzero((near >= 0) & (found <= distance))
    return image.astype(np.int64), near[image, rank]


def alike_pictures(image_ids: Sequence[ImageId], folder: Path, ids: str, bits: int) -> Links:
    """Finds images whose pictures have almost the same hash, see `picture_hash`.

    Args:
        image_ids: M images.
        folder: where their pictures lie.
        ids: how names give ids, as `features extract --ids` has it.
        bits: of a hash's 64, at most so many may differ.

    Returns:
        As `alike_regions`.

    Raises:
        UsageError: the bits are out of range.
        DataError: an image has no picture in the folder, or a broken one.
    """
    if not 0 <= bits < BITS:
        raise UsageError(f"{bits} bits of a hash", mend=f"give 0 to {BITS - 1}")
    return nearest_hashes(hash_pictures(folder, ids, image_ids), _NEIGHBOURS, bits)


def image_groups(image_ids: Sequence[ImageId], links: Sequence[Links]) -> list[list[ImageId]]:
    """Returns the groups of at least two images that links connect, each in the images' order."""
    count = len(image_ids)
    a, b = (np.concatenate([np.empty(0, np.int64), *(link[end] for link in links)]) for end in (0, 1))
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    graph = csr_array((np.ones(len(a), bool), (a, b)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    groups: dict[int, list[ImageId]] = {}
    for image, of in zip(image_ids, label.tolist(), strict=True):
        groups.setdefault(of, []).append(image)
    return [group for group in groups.values() if len(group) > 1]
