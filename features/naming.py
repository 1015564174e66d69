"""One rule from names to image ids, and back to pictures, wherever files are named after images.

``auto``: a COCO name is the number in it, a number is that number, everything else is text. ``number``: the number at
the name's end. ``text``: the name. A table maps names to ids. Extraction, conversion, renaming, reports and questions
about a picture all ask here; what was taken for how many is told in a line.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from vqa_gs.features.ids import coco_id, id_of_text, name_of_file
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file

RULES = ("auto", "text", "number")
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

_LAST_NUMBER = re.compile(r"[0-9]{1,18}$")
_BY_TABLE = "map names to ids with --ids FILE"
_KINDS = {
    "coco": "COCO names became the numbers in them",
    "number": "names that are numbers became numbers",
    "last": "names became the number at their end",
    "text": "names became text ids",
    "integer": "ids are integers in the source",
    "table": "names have ids in the table",
}


class Naming:
    """From names to ids by one rule; counts what it did.

    Args:
        rule: one of `RULES`, or the path of a table, see `read_mapping`.

    Raises:
        UsageError: there is no such rule.
        DataError: the table is missing or damaged.
    """

    def __init__(self, rule: str = "auto") -> None:
        if rule not in RULES and not Path(rule).suffix and not Path(rule).exists():
            raise UsageError(f"ids is {rule!r}", mend=f"choose {', '.join(RULES)}, or name a JSON or CSV file")
        self.rule = rule
        self._table = None if rule in RULES else read_mapping(rule)
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, tuple[str, ImageId]] = {}

    def id_of(self, given: ImageId, paths: Iterable[str] = (), *, untyped: bool = True) -> ImageId | None:
        """Returns the id of a name, and counts it; None where a table has none.

        Args:
            given: the name without suffix, or an id that a source has as an integer.
            paths: longer forms of the name, which a table may use.
            untyped: text of digits may stand for a number; if not, only COCO's long names do.

        Raises:
            DataError: the rule is ``number`` and the name does not end in one.
        """
        kind, found = self._found(given, paths, untyped)
        if found is not None:
            self._counts[kind] += 1
            self._examples.setdefault(kind, (str(given), found))
        return found

    def _found(self, given: ImageId, paths: Iterable[str], untyped: bool) -> tuple[str, ImageId | None]:
        if self._table is not None:
            forms = (*paths, str(given))
            return "table", next((self._table[form] for form in forms if form in self._table), None)
        if self.rule == "text":
            return "text", str(given)
        if not isinstance(given, str):
            return "integer", given
        if self.rule == "number":
            number = last_number(given)
            if number is None:
                raise DataError("the name does not end in a number", mend=_BY_TABLE)
            return "last", number
        number = coco_id(given)
        if not untyped:
            # Text of digits may be meant as text where the source tells text from numbers; COCO's long names never are.
            return ("text", given) if number is None or given.isdigit() else ("coco", number)
        found = id_of_text(given)
        return ("text" if isinstance(found, str) else "number" if number is None else "coco"), found

    def lines(self) -> Iterator[str]:
        """Yields which rule gave how many ids, a line each with an example."""
        for kind, count in self._counts.most_common():
            name, found = self._examples[kind]
            yield f"ids: {count:,} {_KINDS[kind]} ({name!r} is {found!r})"
        name, found = self._examples.get("text", ("", ""))
        if self.rule == "auto" and last_number(name) is not None:
            yield f"ids: --ids number would take the number at the end ({name!r} would be {last_number(name)})"


def last_number(name: str) -> int | None:
    """Returns the number a name ends in; None where it ends in none."""
    match = _LAST_NUMBER.search(name)
    return None if match is None else int(match[0])


def readings(text: str) -> list[ImageId]:
    """Returns the ids that text may mean, the likeliest first: as written, as a name's, as the number at its end."""
    name = name_of_file(text)
    number = last_number(name)
    found = [text, id_of_text(text), name, id_of_text(name), *([] if number is None else [number])]
    return [one for place, one in enumerate(found) if (type(one), one) not in [(type(o), o) for o in found[:place]]]


def read_mapping(path: StrPath) -> dict[str, ImageId]:
    """Reads a file that maps names to ids: a JSON object, or CSV of two columns with or without a header.

    Raises:
        DataError: it is missing or damaged.
    """
    file = require_file(path, "image id mapping")
    try:
        if file.suffix.lower() != ".csv":
            return msgspec.json.decode(file.read_bytes(), type=dict[str, int | str])
        rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))
        pairs = [(row[0], row[1]) for row in rows if row]
        if pairs and Path(pairs[0][0]).suffix.lower() not in PICTURES and pairs[0][1] in ("id", "image_id"):
            pairs = pairs[1:]
        return {name: id_of_text(text) for name, text in pairs}
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, csv.Error, RecursionError) as error:
        raise DataError(
            f"not a mapping of names to ids: {error}", file=file, mend='as {"a.jpg": 1}, or CSV rows a.jpg,1'
        ) from error


def find_pictures(folder: Path) -> list[Path]:
    """Returns the picture files of a folder, at any depth, in the order of their paths; hidden ones are left out."""
    found = []
    for parent, _, names in os.walk(folder):
        named = (
            Path(parent, name) for name in names if Path(name).suffix.lower() in PICTURES and not name.startswith(".")
        )
        found += [path for path in named if not (path.is_fifo() or path.is_socket())]  # reading one would wait for ever
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


class PictureFolder:
    """A folder of pictures, subfolders included, asked for by image id.

    A picture's id is its name, with or without suffix, or what ``auto`` makes of it; a number is found besides by
    the number at a name's end.

    Args:
        folder: the folder.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError("no such folder of images", file=folder, mend="check the path")
        self.folder = folder
        self._exact: dict[ImageId, Path] = {}
        self._last: dict[int, Path] = {}
        for path in find_pictures(folder):
            name = name_of_file(path.name)
            for image_id in (name, path.name, id_of_text(name)):
                self._exact.setdefault(image_id, path)
            number = last_number(name)
            if number is not None:
                self._last.setdefault(number, path)
        if not self._exact:
            raise DataError("no images in this folder", file=folder, mend="name the folder that holds them")

    def find(self, image_id: ImageId) -> Path | None:
        """Returns the picture of an image, None if there is none."""
        found = self._exact.get(image_id)
        return self._last.get(image_id) if found is None and isinstance(image_id, int) else found

    def require(self, image_id: ImageId) -> Path:
        """Returns the picture of an image; DataError if there is none."""
        found = self.find(image_id)
        if found is None:
            raise DataError(
                "no picture of this image",
                file=self.folder,
                record=f"image {image_id!r}",
                mend="its name must be or hold the id",
            )
        return found


def missing_of(wanted: Mapping[str, Iterable[ImageId]], there: Iterable[ImageId], rule: str) -> None:
    """Raises DataError where images that questions are about are not among ids.

    Args:
        wanted: name of a questions file -> the images its questions are about.
        there: the ids there are, or will be.
        rule: that made them, for the advice.
    """
    known = set(there)
    for name, images in wanted.items():
        all_wanted = dict.fromkeys(images)
        missing = [image_id for image_id in all_wanted if image_id not in known]
        if not missing:
            continue
        mend = "extract or convert these images too, or leave their questions out"
        if known and missing and not any(isinstance(one, type(missing[0])) for one in known):
            kinds = ("text", "numbers") if isinstance(missing[0], str) else ("numbers", "text")
            mend = f"the questions' ids are {kinds[0]}, these are {kinds[1]}: --ids"
            mend += " text" if kinds[0] == "text" else " number" if rule == "auto" else " auto, or a table"
        some = ", ".join(repr(one) for one in missing[:5])
        more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
        raise DataError(
            f"{len(missing):,} of {len(all_wanted):,} images are not there: {some}{more}", file=name, mend=mend
        )
