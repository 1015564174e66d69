"""From COCO instances and lists of pairs to training examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError, found_in
from vqa_gs.data.instances import LabelledImages, is_pair_list, read_edited_images, read_labelled_images
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore
from vqa_gs.pair_builders.shuffle import shuffle_partners
from vqa_gs.pair_builders.table import PairTable
from vqa_gs.tasks.multilabel.settings import LabelData


@dataclass(frozen=True)
class LabelTraining:
    """What a multi-label task trains on.

    Attributes:
        image_ids: (n,) the originals first, edited images after them.
        labels: (n, classes) bool.
        ordinary: how many originals.
        pairs: (P, 2) int64, rows of originals and partners.
        parts: the files: originals, and edited images whether they are trained on or not.
        held: training images held out for validation; None where files are named for it.
        sources: path -> SHA-256.
    """

    image_ids: NDArray[np.object_]
    labels: NDArray[np.bool_]
    ordinary: int
    pairs: NDArray[np.int64]
    parts: list[LabelledImages]
    held: LabelledImages | None
    sources: dict[str, str]

    @property
    def categories(self) -> dict[int, str]:
        """Id -> name of the classes, in the order of the columns."""
        return self.parts[0].categories


def load_label_training(config: LabelData, store: RegionStore, seed: int) -> LabelTraining:
    """Reads all a multi-label task trains on.

    Args:
        config: the run's data section.
        store: the regions.
        seed: of what is held out, and of the dealing of shuffled partners.

    Raises:
        DataError: a file is damaged, a pair speaks of an unknown image, or an image has no regions.
    """
    train = read_labelled_images(config.train)
    require_regions(train, store)
    held = None
    if not config.iid_val:
        order = np.random.default_rng([seed, 79]).permutation(len(train))
        cut = min(max(1, round(config.val_fraction * len(train))), len(train) - 1)
        train, held = train.select(np.sort(order[cut:]).tolist()), train.select(np.sort(order[:cut]).tolist())
    sources, parts = {train.file: train.sha256}, [train]
    if config.edited:
        edited = read_split(config.edited, train.categories, [train, *([held] if held else [])])
        sources[edited.file] = edited.sha256
        for originals in (train, *([held] if held else [])):
            refuse_shared(edited, originals, "an edited image needs an id of its own")
        if config.pairs:
            require_regions(edited, store)
        parts.append(edited)
    ids = [image_id for part in parts for image_id in part.image_ids]
    places = [{image_id: row for row, image_id in enumerate(part.image_ids)} for part in parts]
    held_ids = set(held.image_ids) if held else set()
    ends: list[tuple[int, int]] = []
    for path in config.pairs:
        named, sources[path] = read_pair_list(path)
        for row, pair in enumerate(named):
            if pair[0] in held_ids:
                continue  # training must not see what it is validated on
            for image_id, place, part in zip(pair, places, parts, strict=True):
                if image_id not in place:
                    raise DataError(
                        f"image {image_id!r} is not in {part.file}", file=path, record=f"row {row}", mend="drop the row"
                    )
            ends.append((places[0][pair[0]], len(train) + places[1][pair[1]]))
    pairs = np.array(ends[: config.max_pairs or None], np.int64).reshape(-1, 2)
    if config.partners == "shuffled" and len(pairs):
        with found_in(config.pairs[0]):
            order = shuffle_partners(PairTable.of_one_kind("edited", pairs[:, 0], pairs[:, 1]), seed)
        pairs[:, 1] = pairs[order, 1]
    labels = np.concatenate([part.labels for part in parts])
    return LabelTraining(as_column(ids), labels, len(train), pairs, parts, held, sources)


def read_split(path: str, categories: dict[int, str], originals: Sequence[LabelledImages]) -> LabelledImages:
    """Reads a file of instances, or a list of edits of ``originals``."""
    return read_edited_images(path, originals) if is_pair_list(path) else read_labelled_images(path, categories)


def changed_classes(
    labels_a: NDArray[np.bool_], labels_b: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Writes pairs out once for each class whose label differs between their ends.

    Args:
        labels_a: (P, classes).
        labels_b: (P, classes).

    Returns:
        (E,) which pair, (E,) which class, -1 for a pair whose labels agree, which stands once; and (E,) one over how
        often the pair stands.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([[True, False], [True, True]]), np.array([[False, True], [True, True]])
        >>> [part.tolist() for part in changed_classes(a, b)]
        [[0, 0, 1], [0, 1, -1], [0.5, 0.5, 1.0]]
    """
    differs = labels_a != labels_b
    # One column more, for the pairs in which no class changes.
    pair, column = np.nonzero(np.column_stack([differs, ~differs.any(axis=1)]))
    count = np.maximum(differs.sum(axis=1), 1)
    return pair, np.where(column < differs.shape[1], column, -1), (1 / count[pair]).astype(np.float32)


def as_column(ids: Sequence[ImageId]) -> NDArray[np.object_]:
    """Returns ids, numbers and texts alike, as (n,) objects."""
    column = np.empty(len(ids), object)
    column[:] = ids
    return column


def require_regions(images: LabelledImages, store: RegionStore) -> None:
    """Refuses images that the store does not have."""
    missing = [image_id for image_id in images.image_ids if image_id not in store]
    if missing:
        raise DataError(
            f"image {missing[0]!r} is not in the region store {store.path} ({len(missing):,} of {len(images):,} are"
            " not)",
            file=images.file,
            mend="extract their features, or name another store",
        )


def refuse_shared(images: LabelledImages, others: LabelledImages, mend: str) -> None:
    """Refuses two files that share images."""
    shared = _first_shared(images.image_ids, others.image_ids)
    if shared is not None:
        raise DataError(f"is in {others.file} too", file=images.file, record=f"image {shared}", mend=mend)


def _first_shared(ids: Iterable[ImageId], others: Iterable[ImageId]) -> ImageId | None:
    known = set(others)
    return next((image_id for image_id in ids if image_id in known), None)
