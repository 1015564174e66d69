"""Image ids in names: COCO's file names, and numbers written as text."""

from __future__ import annotations

import re

from vqa_gs.features.layout import ImageId

# COCO_train2014_000000132417, and 000000132417 of 2017.
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+[0-9]+_)?([0-9]{12})")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_PICTURE_SUFFIX = re.compile(r"\.(?:jpe?g|png|gif|bmp|tiff?|webp)$", re.IGNORECASE)


def name_of_file(name: str) -> str:
    """Returns a picture's name without folders and without the suffix of a picture."""
    return _PICTURE_SUFFIX.sub("", name.replace("\\", "/").rsplit("/", 1)[-1])


def coco_id(name: str) -> int | None:
    """Returns the id in a COCO name (``COCO_val2014_000000000042``, ``000000000042``); None in any other."""
    match = _COCO_NAME.fullmatch(name_of_file(name))
    return None if match is None else int(match.group(1))


def id_of_text(text: str) -> ImageId:
    """Returns the id that text without a type stands for, as in a TSV or a file's name.

    Numbers are ints if written as Python writes them, or as COCO does, with twelve digits; all else is text,
    as ``007``, which need not be the same as ``7``, or the ``n578978`` of GQA.
    """
    number = coco_id(text)
    if number is not None:
        return number
    return int(text) if _NUMBER.fullmatch(text) else text
