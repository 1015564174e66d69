"""Several region stores become one: the shards of an extraction, or the stores of several splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vqa_gs.features.fingerprint import differences
from vqa_gs.features.layout import REMAKE_HINT, ImageId
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.lazy import torch
from vqa_gs.common.phases import phase

_STEP = 64


@dataclass(frozen=True)
class MergeSummary:
    """What a merge wrote.

    Attributes:
        images: images in the store.
        regions: regions in it.
    """

    images: int
    regions: int


def merge(
    stores: Sequence[StrPath],
    out: StrPath,
    progress: Callable[[int, int | None], None] | None = None,
    *,
    allow_other_features: bool = False,
) -> MergeSummary:
    """Writes the images of several stores into one, in the order given, in bounded memory.

    The shards of an extraction, in their order, give the bytes the extraction would have given in one piece.

    Args:
        stores: the stores.
        out: the store to write; it appears whole or not at all.
        progress: called with the images done and their total.
        allow_other_features: accept stores whose features were made in different ways.

    Raises:
        DataError: a store is missing or damaged, its features are of another kind, or an image occurs twice.
        UsageError: the stores' features were made in different ways.
    """
    if not stores:
        raise UsageError("no stores to merge")
    with ExitStack() as stack:
        opened = [stack.enter_context(RegionStore(path)) for path in stores]
        if any(Path(out).exists() and Path(out).samefile(store.path) for store in opened):
            raise UsageError(f"{out} would be merged into itself", mend="choose another name for the result")
        fingerprint = _common(opened, allow_other_features)
        first, total = opened[0], sum(map(len, opened))
        far = stack.enter_context(phase("merging", total, "images"))

        def merged(done: int) -> None:
            far.at(done, total)
            if progress is not None:
                progress(done, total)

        writer = stack.enter_context(
            RegionStoreWriter(
                out,
                dim=first.dim,
                dtype=first.dtype,
                fingerprint=fingerprint,
                string_ids=isinstance(first.image_ids[0], str),
                columns=first.columns,
            )
        )
        for store in opened:
            copy_images(store, writer, merged)
    return MergeSummary(len(writer), writer.regions)


def _common(stores: list[RegionStore], allow_other_features: bool) -> str:
    """Returns the fingerprint of the result, after looking whether the stores fit together."""
    first = stores[0]
    owner: dict[ImageId, RegionStore] = {}
    for store in stores:
        for what, mine, theirs in (
            ("numbers a region", store.dim, first.dim),
            ("type", store.dtype.name, first.dtype.name),
            ("columns", ", ".join(store.columns) or "none", ", ".join(first.columns) or "none"),
            ("kind of image ids", type(store.image_ids[0]).__name__, type(first.image_ids[0]).__name__),
        ):
            if mine != theirs:
                raise DataError(
                    f"its {what}: {mine}; those of {first.path}: {theirs}",
                    file=store.path,
                    mend="merge stores of one kind only",
                )
        different = differences(store.fingerprint, first.fingerprint)
        if different and not allow_other_features:
            raise UsageError(
                f"{store.path} was made otherwise than {first.path}: {'; '.join(different[:3])}",
                mend="merge stores of the same features, or give --allow-other-features",
            )
        for image_id in store.image_ids:
            if image_id in owner:
                raise DataError(
                    f"is in {owner[image_id].path} too", file=store.path, record=f"image {image_id}", mend="drop one"
                )
            owner[image_id] = store
    kinds = list(dict.fromkeys(store.fingerprint for store in stores))
    return kinds[0] if len(kinds) == 1 else json.dumps({"made_by": "merge", "of": kinds}, sort_keys=True)


def copy_images(
    store: RegionStore,
    writer: RegionStoreWriter,
    report: Callable[[int], None],
    names: Mapping[ImageId, ImageId] | None = None,
) -> None:
    """Copies a store's images, and looks on the way whether they are what its hash says.

    Args:
        store: the store.
        writer: of the same numbers a region, type and columns.
        report: called with the images written so far.
        names: the images' ids in the writer, where they are others.
    """
    digest, tables = store.start_hash(), store.tables
    kind = torch.float16 if store.dtype.itemsize == 2 else torch.float32
    out: RegionBatch | None = None
    for low in range(0, len(store), _STEP):
        ids = store.image_ids[low : low + _STEP]
        out = store.read_batch(ids, out, kind)
        for number, image_id in enumerate(ids):
            part = slice(int(tables.first[low + number]), int(tables.first[low + number + 1]))
            rows = out.features[number, : part.stop - part.start].numpy()
            digest.update("features", rows)
            columns = {name: values[part] for name, values in tables.columns.items()}
            writer.add(
                image_id if names is None else names[image_id],
                rows,
                tables.boxes[part],
                tables.sizes[low + number],
                columns,
            )
        report(len(writer))
    if problem := store.hash_problem(digest):
        raise DataError(problem, file=store.path, mend=REMAKE_HINT)
