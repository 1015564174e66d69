"""COCO instances: what a file says of each image, and the label vector that follows from it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath
from vqa_gs.data.edited import removed_from
from vqa_gs.data.json_files import decode, read_content
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import ImageId

if TYPE_CHECKING:
    from pycocotools.coco import COCO

_SHAPE = "a COCO instances file: an object with images, annotations and categories"


def read_instances(path: StrPath) -> tuple[COCO, str]:
    """Reads a COCO instances file, plain or gzipped; returns it and its SHA-256.

    Raises:
        DataError: the file is damaged or of another shape.
    """
    from pycocotools.coco import COCO

    content, digest = read_content(path, "COCO instances")
    parsed: Any = decode(content, dict[str, Any], file=path, expected=_SHAPE)
    if not all(isinstance(parsed.get(part), list) for part in ("images", "annotations", "categories")):
        raise DataError(f"not {_SHAPE}", file=path, mend=f"expected {_SHAPE}")
    coco = COCO()
    coco.dataset = parsed
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it talks while it indexes
            coco.createIndex()
    except (KeyError, TypeError) as error:
        raise DataError(
            f"a record without a usable {_blamed(error)}",
            file=path,
            record=_first_bad(parsed),
            mend=f"expected {_SHAPE}",
        ) from error
    return coco, digest


def _blamed(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) else "id"


def _first_bad(parsed: dict[str, Any]) -> str | None:
    """Returns which record of a COCO file lacks an id it needs, or has a list or an object for one."""
    needed = {"images": ("id",), "annotations": ("id", "image_id", "category_id"), "categories": ("id",)}
    for part, names in needed.items():
        for at, row in enumerate(parsed[part]):
            if not isinstance(row, dict) or any(isinstance(row.get(name), list | dict | None) for name in names):
                return f"{part}, row {at}"
    return None


@dataclass(frozen=True)
class LabelledImages:
    """Images and which classes each of them shows.

    Attributes:
        file: where it was read.
        image_ids: n ids in the file's order.
        labels: (n, classes) bool.
        categories: id -> name of the classes, by rising id, as the columns of ``labels`` are.
        sha256: of the file.
    """

    file: str
    image_ids: list[ImageId]
    labels: NDArray[np.bool_]
    categories: dict[int, str]
    sha256: str

    def __len__(self) -> int:
        return len(self.image_ids)

    def select(self, rows: Sequence[int]) -> LabelledImages:
        """Returns some of the images."""
        return replace(self, image_ids=[self.image_ids[row] for row in rows], labels=self.labels[list(rows)])


def read_labelled_images(path: StrPath, categories: dict[int, str] | None = None) -> LabelledImages:
    """Reads the label vectors of a COCO instances file.

    A class is there if an annotation of it is, a crowd's too. An image without annotations shows no class.

    Args:
        path: the file.
        categories: the classes of the training file, which another file has to keep to; None: the file's own.

    Raises:
        DataError: the file is damaged; an image stands twice; an annotation speaks of an image or a category that the
            file does not have; a category is none of ``categories``.
    """
    coco, digest = read_instances(path)
    names = _categories(coco, path)
    if not coco.imgs:
        raise DataError("has no images", file=path, mend="give instances of the images to learn from or to test on")
    known = names if categories is None else categories
    strange = next((number for number, name in names.items() if known.get(number) != name), None)
    if strange is not None:
        raise DataError(
            f"the training file has {known.get(strange, 'nothing')!r} under this id, not {names[strange]!r}",
            file=path,
            record=f"category {strange}",
            mend="give files with the same categories",
        )
    row_of: dict[ImageId, int] = {}
    for at, image in enumerate(coco.dataset["images"]):
        image_id = image["id"]
        if isinstance(image_id, bool) or not isinstance(image_id, int | str):
            raise DataError(f"{image_id!r} is no image id", file=path, record=f"images, row {at}")
        if row_of.setdefault(image_id, at) != at:
            raise DataError("stands twice", file=path, record=f"image {image_id}", mend="drop one of the two")
    column = {number: at for at, number in enumerate(known)}
    labels = np.zeros((len(row_of), len(known)), bool)
    for at, annotation in enumerate(coco.dataset["annotations"]):
        record = f"annotation {annotation.get('id', f'in row {at}')}"
        image_id, category = annotation["image_id"], annotation.get("category_id")
        if image_id not in row_of:
            raise DataError(f"is of image {image_id}, which the file does not have", file=path, record=record)
        if category not in names:
            raise DataError(f"is of category {category}, which the file does not have", file=path, record=record)
        labels[row_of[image_id], column[category]] = True
    return LabelledImages(str(path), list(row_of), labels, dict(known), digest)


def is_pair_list(path: StrPath) -> bool:
    """Returns whether a file is a list, as pairs are, and no COCO instances file."""
    return read_content(path, "COCO instances or pair list")[0].lstrip().startswith(b"[")


def read_edited_images(path: StrPath, originals: Sequence[LabelledImages]) -> LabelledImages:
    """Reads label vectors of edited images from a list of [original image id, edited image id] with IV-VQA's ids.

    There an edited image's id says which category was removed, all its instances; the rest is as in the original.

    Args:
        path: the list.
        originals: instances of the originals, of one set of categories.

    Raises:
        DataError: the list is damaged; an edited image's id is not of this form, stands twice, or speaks of another
            original or of a category the original does not have; an original is in none of ``originals``.
    """
    pairs, digest = read_pair_list(path)
    row_of = {image_id: (part, row) for part in originals for row, image_id in enumerate(part.image_ids)}
    column = {number: at for at, number in enumerate(originals[0].categories)}
    labels: dict[ImageId, NDArray[np.bool_]] = {}
    for at, (original, edited) in enumerate(pairs):
        removed = removed_from(edited)
        if removed is None or removed[0] != original:
            raise DataError(
                f"image {edited!r} does not say what was removed from {original!r}, as 000000262148_000000000001 does",
                file=path,
                record=f"row {at}",
                mend="give COCO instances of the edited images in place of this list",
            )
        if original not in row_of:
            raise DataError(f"image {original!r} has no instances", file=path, record=f"row {at}", mend="drop the row")
        if edited in labels:
            raise DataError(f"image {edited!r} stands twice", file=path, record=f"row {at}", mend="drop the row")
        part, row = row_of[original]
        own = part.labels[row].copy()
        if removed[1] not in column or not own[column[removed[1]]]:
            raise DataError(
                f"image {original!r} has nothing of category {removed[1]} to remove", file=path, record=f"row {at}"
            )
        own[column[removed[1]]] = False
        labels[edited] = own
    return LabelledImages(str(path), list(labels), np.stack(list(labels.values())), originals[0].categories, digest)


def _categories(coco: COCO, path: StrPath) -> dict[int, str]:
    found: dict[int, str] = {}
    for at, category in enumerate(coco.dataset["categories"]):
        number, name = category["id"], category.get("name")
        if not isinstance(number, int) or not isinstance(name, str) or not name:
            raise DataError("a category needs a number as id, and a name", file=path, record=f"categories, row {at}")
        if number in found or name in found.values():
            raise DataError(f"the category {name!r} or its id stands twice", file=path, record=f"category {number}")
        found[number] = name
    if not found:
        raise DataError("has no categories", file=path, mend=f"expected {_SHAPE}")
    return dict(sorted(found.items()))


def combinations(labels: NDArray[np.bool_]) -> set[bytes]:
    """Returns the distinct rows of ``labels: (n, classes)``, each packed into bytes."""
    return {row.tobytes() for row in np.packbits(labels, axis=1)}


def unseen(labels: NDArray[np.bool_], seen: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Says which rows of ``labels: (n, classes)`` are combinations that none of the others has, (n,)."""
    known = set().union(*map(combinations, seen))
    return np.array([row.tobytes() not in known for row in np.packbits(labels, axis=1)], bool)
