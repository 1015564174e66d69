"""Near-duplicate pictures by perceptual hash: pictures that were scaled, compressed again or brightened keep theirs.

The hash is the DCT one (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): a picture of
32 x 32 greys, its 8 x 8 lowest frequencies in both directions, and of each whether it is above their median.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.extract.listing import list_images
from vqa_gs.pair_builders.sources import Progress

from vqa_gs.common.errors import DataError
from vqa_gs.common.phases import phase
from vqa_gs.data.questions import ImageId

BITS = 64
_SIDE, _FREQUENCIES = 32, 8
_TOGETHER = 256


def picture_hash(picture: Image.Image) -> NDArray[np.uint8]:
    """Returns the hash of a picture as 8 bytes."""
    from scipy.fft import dctn

    grey = np.asarray(picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    # Without the first row and column: they hold brightness, and light that falls from one side.
    low = dctn(grey, norm="ortho")[1 : _FREQUENCIES + 1, 1 : _FREQUENCIES + 1].ravel()
    return np.packbits(low > np.median(low))


def hash_pictures(
    folder: Path, ids: str, image_ids: Sequence[ImageId], progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Hashes the pictures of images.

    Args:
        folder: where they lie, at any depth.
        ids: how names give ids, as `features extract --ids` has it.
        image_ids: M images.
        progress: called with images done and their number.

    Returns:
        (M, 8) uint8.

    Raises:
        DataError: an image has no picture in the folder, or a broken one.
    """
    paths = {image_id: path for image_id, path, _ in list_images(folder, ids)}
    for image_id in image_ids:
        if image_id not in paths:
            mend = "check the folder, and how names give ids: auto, number, text, or a file of name and id"
            raise DataError("no picture of this image", file=folder, record=f"image {image_id!r}", mend=mend)
    hashes = np.empty((len(image_ids), BITS // 8), np.uint8)
    with (
        phase("hashing pictures", len(image_ids), "images") as far,
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads,
    ):
        for start in range(0, len(image_ids), _TOGETHER):
            some = [paths[image_id] for image_id in image_ids[start : start + _TOGETHER]]
            for row, found in enumerate(threads.map(lambda path: picture_hash(load_image(path)), some)):
                hashes[start + row] = found
            far(len(some))
            if progress is not None:
                progress(start + len(some), len(image_ids))
    return hashes


def nearest_hashes(
    hashes: NDArray[np.uint8], neighbours: int, bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds pairs of images whose hashes differ in few bits, each image's nearest only; compares all with all.

    Args:
        hashes: (M, 8) uint8.
        neighbours: of an image at most.
        bits: the most that may differ.

    Returns:
        (E,) images and (E,) others.
    """
    import faiss

    index = faiss.IndexBinaryFlat(BITS)
    index.add(hashes)
    distance, near = index.search(hashes, min(neighbours + 1, len(hashes)))
    own = np.arange(len(hashes))[:, None]
    image, rank = np.nonzero((near >= 0) & (near != own) & (distance <= bits))
    return image.astype(np.int64), near[image, rank].astype(np.int64)
