"""Region stores with noise: how much of an effect survives features that tell less."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vqa_gs.common.errors import UsageError
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

Progress = Callable[[int, int], None]


def check_strength(strength: float) -> None:
    """Raises `UsageError` if a strength of noise makes no sense."""
    if not 0 < strength < math.inf:
        raise UsageError(f"a noise of {strength} cannot be added", mend="give a positive number of deviations")


def add_noise(source: Path, out: Path, strength: float, seed: int = 0, progress: Progress | None = None) -> None:
    """Writes a copy of a region store with Gaussian noise, independent in every number of every region.

    Args:
        source: the store.
        out: the copy; left alone if it is there with the same fingerprint and as many images.
        strength: of the noise, in standard deviations of each feature dimension over all regions.
        seed: of the noise.
        progress: called with the images done and all.
    """
    check_strength(strength)
    with RegionStore(source) as store:
        made = {"noise": strength, "seed": seed, "of": store.fingerprint, "content": store.content_hash}
        fingerprint = json.dumps(made, sort_keys=True)
        if out.exists():
            with RegionStore(out) as there:
                if there.fingerprint == fingerprint and len(there) == len(store):
                    return
        regions = [store[image] for image in store.image_ids]
        deviations = strength * np.concatenate([found.features for found in regions]).std(axis=0)
        generator = np.random.default_rng(seed)
        # float32, or the smallest noises would vanish in the rounding of a float16 store.
        with RegionStoreWriter(
            out, dim=store.dim, dtype="float32", fingerprint=fingerprint, string_ids=isinstance(store.image_ids[0], str)
        ) as writer:
            for done, (image, found) in enumerate(zip(store.image_ids, regions, strict=True), 1):
                noise = generator.standard_normal(found.features.shape, np.float32) * deviations
                size = (int(found.size[0]), int(found.size[1]))
                writer.add(image, found.features + noise.astype(np.float32), found.boxes, size)
                if progress is not None:
                    progress(done, len(regions))
