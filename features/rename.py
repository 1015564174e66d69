"""Giving a region store's images other ids: a copy, as ids are part of what a store says."""

from __future__ import annotations

import json
from pathlib import Path

from vqa_gs.features.convert import Progress
from vqa_gs.features.layout import ImageId
from vqa_gs.features.merge import copy_images
from vqa_gs.features.naming import Naming
from vqa_gs.features.store import RegionStore
from vqa_gs.features.writer import RegionStoreWriter

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase


def rename(store: StrPath, out: StrPath, ids: str, progress: Progress | None = None) -> list[str]:
    """Writes a store's images under other ids, in the same order and with the same fingerprint.

    Args:
        store: the store.
        out: the store to write; it appears whole or not at all.
        ids: a rule or a table, as `Naming` takes them; every image has to get an id of its own.
        progress: called with the images done and their number.

    Returns:
        Which rule gave how many ids, a line each.

    Raises:
        DataError: the store is missing or damaged, an image gets no id, or two get the same.
        UsageError: the store would be written over itself, or ids would be of two kinds.
    """
    naming = Naming(ids)
    with RegionStore(store) as opened:
        if Path(out).exists() and Path(out).samefile(opened.path):
            raise UsageError("the store would replace itself", file=out, mend="choose another name")
        names = _new_ids(opened, naming, ids)
        with (
            phase("renaming", len(opened), "images") as far,
            RegionStoreWriter(
                out,
                dim=opened.dim,
                dtype=opened.dtype,
                fingerprint=opened.fingerprint,
                columns=opened.columns,
            ) as writer,
        ):

            def copied(done: int) -> None:
                far.at(done, len(opened))
                if progress is not None:
                    progress(done, len(opened))

            copy_images(opened, writer, copied, names)
    return list(naming.lines())


def _new_ids(store: RegionStore, naming: Naming, ids: str) -> dict[ImageId, ImageId]:
    names: dict[ImageId, ImageId] = {}
    owner: dict[ImageId, ImageId] = {}
    for old in store.image_ids:
        try:
            new = naming.id_of(old)
        except DataError as error:
            raise DataError(error.problem, file=store.path, record=f"image {old!r}", mend=error.mend) from error
        if new is None:
            raise DataError("is not in the table", file=ids, record=f"image {old!r}", mend="give every image an id")
        if new in owner:
            raise DataError(
                f"images {owner[new]!r} and {old!r} would both be {new!r}", file=store.path, mend="use a table of ids"
            )
        names[old] = new
        owner[new] = old
    kinds = {type(new): old for old, new in names.items()}
    if len(kinds) > 1:
        told = " and ".join(f"{json.dumps(old)} would be {names[old]!r}" for old in kinds.values())
        raise UsageError(f"{store.path}: ids would be of two kinds: {told}", mend="use --ids text, or a table")
    return names
