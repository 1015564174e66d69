"""Writing a region store in the formats of older code."""

from __future__ import annotations

from pathlib import Path

from vqa_gs.features.convert import Progress
from vqa_gs.features.formats import writable_format
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import RegionStore

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.phases import phase


def export(
    store: StrPath,
    out: StrPath,
    format: str,
    *,
    id_template: str = "{}",
    progress: Progress | None = None,
) -> list[str]:
    """Writes a region store in another format, image by image; files appear whole or not at all.

    Features are written as float32 (Parquet keeps the store's type), which holds float16 exactly, so that reading the
    file back gives the same bits.

    Args:
        store: the store.
        out: the file or folder to write; the pickled index of an HDF5 file is called after it.
        format: one of ``writable_names()``.
        id_template: how an image id is written in a TSV or a file's name, as ``str.format`` has it, such as
            ``COCO_train2014_{:012d}``.
        progress: called after every image.

    Returns:
        What of the store the format has no place for, a line each.

    Raises:
        DataError: the store is damaged, or holds what the format cannot.
        UsageError: ``format`` or ``id_template`` makes no sense.
    """
    writer = writable_format(format)
    if Path(out).exists() and Path(store).exists() and Path(out).samefile(store):
        raise UsageError("the file would replace the store", file=out, mend="choose another name")

    def id_text(image_id: ImageId) -> str:
        try:
            return id_template.format(image_id)
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            raise UsageError(
                f"the id template {id_template!r} does not fit the image id {image_id!r}: {error}",
                mend="a template is like COCO_train2014_{:012d}",
            ) from error

    with RegionStore(store) as opened:
        if id_text(opened.image_ids[0]) == id_text("another" if isinstance(opened.image_ids[0], str) else -1):
            raise UsageError(f"the id template {id_template!r} gives all images the same name", mend="put {} into it")
        try:
            with phase("exporting", len(opened), "images") as far:
                for done in writer.write(opened, Path(out), id_text):
                    far.at(done, len(opened))
                    if progress is not None:
                        progress(done, len(opened))
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror or error}", file=out, mend="make room or choose another disk"
            ) from error
        return _lost(opened, format)


def _lost(store: RegionStore, format: str) -> list[str]:
    if format == "tsv-10" and "attribute" not in store.columns:
        return ["attributes, which the store has none of, are written as 0 with confidence 0"]
    if format == "tsv" and store.columns:
        return [f"left out, as only tsv-10, npz, parquet and HDF5 have a place for it: {', '.join(store.columns)}"]
    if format.startswith("hdf5"):
        scores = [name for name in store.columns if name.endswith("_score") and name[:-6] not in store.columns]
        return [f"left out, as the format has no place for it: {', '.join(scores)}"] if scores else []
    return []
