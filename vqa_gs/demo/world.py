"""Writes the world of changing priors: images, questions in VQA-CP's form, edited images, boxes.

```
OUT/images/ID.jpg                                the pictures
OUT/{train,iid_val,ood_test}_questions.json      bare lists, as VQA-CP has them; likewise ..._annotations.json
OUT/{iid_val,ood_test}_relevant_boxes.json       [{question_id, boxes}, ...]: the objects an answer is read from
OUT/edited_questions.json, edited_annotations.json
OUT/edited_pairs.json                            [[original question id, edited question id], ...]
OUT/boxes.json                                   an image a record: image_id, file, width, height, boxes
OUT/scenes.json                                  what is in each picture, for looking things up
OUT/world.json                                   the settings and hashes; written last
```
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file, sha256_file, write_json
from vqa_gs.demo.drawing import draw
from vqa_gs.demo.scenes import Scene
from vqa_gs.demo.settings import EDITED, SPLITS, WorldSettings
from vqa_gs.demo.splits import build_edits, build_split, image_records, relevant_boxes, training_priors

__all__ = ["EDITED", "SPLITS", "ImageBoxes", "World", "WorldSettings", "write_world"]

# Raised with every change of what a seed gives, so that no world of an older program is taken for
# a finished one.
_FORMAT_VERSION = 2
_IMAGE_NAME = re.compile(r"^(\d{6}\.jpg|\.\d{6}\.jpg\.\d+\.tmp)$")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageBoxes:
    """One record of ``boxes.json``.

    Attributes:
        image_id: the image.
        path: its file.
        size: width and height in pixels.
        boxes: (R, 4) float32, x1, y1, x2, y2 in pixels.
    """

    image_id: int
    path: Path
    size: tuple[int, int]
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """A finished world on disk.

    Attributes:
        root: its folder.
        settings: what it was made with.
    """

    root: Path
    settings: WorldSettings

    def questions(self, split: str) -> Path:
        """Returns the questions file of ``train``, ``iid_val``, ``ood_test`` or ``edited``."""
        return self.root / f"{split}_questions.json"

    def annotations(self, split: str) -> Path:
        """Returns the annotations file of ``train``, ``iid_val``, ``ood_test`` or ``edited``."""
        return self.root / f"{split}_annotations.json"

    def relevant_boxes(self, split: str) -> Path:
        """Returns the list of {question_id, boxes} of ``iid_val`` or ``ood_test``, as ``evaluate`` reads it."""
        return self.root / f"{split}_relevant_boxes.json"

    @property
    def edited_pairs(self) -> Path:
        """The list of [original question id, edited question id]."""
        return self.root / "edited_pairs.json"

    @property
    def boxes(self) -> Path:
        """The boxes of all images."""
        return self.root / "boxes.json"

    @property
    def scenes(self) -> Path:
        """What is in each image."""
        return self.root / "scenes.json"

    def image_boxes(self) -> Iterator[ImageBoxes]:
        """Yields every image with its boxes, originals before edited ones, ids ascending."""
        for record in json.loads(require_file(self.boxes, "boxes").read_text("utf-8")):
            yield ImageBoxes(
                record["image_id"],
                self.root / record["file"],
                (record["width"], record["height"]),
                np.array(record["boxes"], dtype=np.float32).reshape(-1, 4),
            )


def _encode_image(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    # Without colour subsampling a change stays within the 8 x 8 blocks it touches.
    draw(scene).save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _write_image(path: Path, content: bytes) -> None:
    # Not flushed one by one, which would take longer than drawing: the hash in world.json vouches for all of
    # them.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _hash_images(contents: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in contents:
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _finished(root: Path, settings: WorldSettings) -> bool:
    """Says whether ``root`` holds this very world, whole.

    Raises:
        UsageError: it holds another one.
        DataError: its ``world.json`` is none.
    """
    marker = root / "world.json"
    if not marker.exists():
        return False
    try:
        about = json.loads(require_file(marker, "world").read_text("utf-8"))
        stored, version, files = about["settings"], about["format_version"], about["files"]
        if about["format"] != "vqa-gs-world":
            raise ValueError("another format")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("does not describe a world", file=marker, mend="choose another folder") from error
    if stored != asdict(settings) or version != _FORMAT_VERSION:
        raise UsageError(
            "the folder holds a world of other settings",
            file=marker,
            mend="choose another folder or delete it",
        )
    try:
        if any(sha256_file(root / name) != digest for name, digest in files.items()):
            return False
        names = [record["file"] for record in json.loads((root / "boxes.json").read_text("utf-8"))]
        found = _hash_images((name, (root / name).read_bytes()) for name in names)
    except OSError:
        return False
    return bool(found == about["images_sha256"])


def write_world(out: StrPath, settings: WorldSettings | None = None, progress: Progress | None = None) -> World:
    """Writes a world, or returns the finished one that is already there.

    The same settings give the same bytes. A world that was interrupted or damaged is written anew.

    Args:
        out: the folder to write to.
        settings: what world; the defaults if left out.
        progress: called with the number of images written and their total.

    Returns:
        The world.

    Raises:
        UsageError: the settings make no sense, or ``out`` holds a world of other settings.
        DataError: ``out`` cannot be written to.
    """
    settings = settings or WorldSettings()
    settings.check()
    root = Path(out)
    world = World(root, settings)
    if _finished(root, settings):
        return world
    marker = root / "world.json"
    try:
        (root / "images").mkdir(parents=True, exist_ok=True)
        marker.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", file=root, mend="choose a writable folder") from error

    preferred = training_priors(settings)
    built = {split: build_split(split, settings, preferred) for split in SPLITS}
    built[EDITED], pairs = build_edits(settings, built["train"])

    records = [record for split, part in built.items() for record in image_records(split, part)]
    _remove_other_images(root / "images", {Path(boxes["file"]).name for boxes, _, _ in records})

    def images() -> Iterator[tuple[str, bytes]]:
        for number, (boxes, _, scene) in enumerate(records, start=1):
            content = _encode_image(scene)
            _write_image(root / boxes["file"], content)
            yield boxes["file"], content
            if progress is not None:
                progress(number, len(records))

    images_hash = _hash_images(images())
    files: dict[Path, list[Any]] = {
        world.edited_pairs: pairs,
        world.boxes: [boxes for boxes, _, _ in records],
        world.scenes: [scene for _, scene, _ in records],
    }
    for split, part in built.items():
        files[world.questions(split)] = part.questions
        files[world.annotations(split)] = part.annotations
        if split in SPLITS[1:]:
            files[world.relevant_boxes(split)] = relevant_boxes(part)
    for path, content in files.items():
        write_json(path, content, indent=None)
    about = {
        "format": "vqa-gs-world",
        "format_version": _FORMAT_VERSION,
        "settings": asdict(settings),
        "images": {split: len(part.scenes) for split, part in built.items()},
        "questions": {split: len(part.questions) for split, part in built.items()},
        "preferred_answers": [[query.kind, query.subject, answer] for query, answer in preferred.items()],
        "files": {path.name: sha256_file(path) for path in files},
        "images_sha256": images_hash,
    }
    write_json(marker, about)
    return world


def _remove_other_images(folder: Path, wanted: set[str]) -> None:
    """Removes pictures of an interrupted world; files with names that no world has are left alone."""
    for entry in folder.iterdir():
        if entry.name not in wanted and _IMAGE_NAME.match(entry.name):
            with suppress(OSError):
                entry.unlink()
