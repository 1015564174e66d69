"""Writes the world of named objects: images, COCO instances, images with one object removed, boxes.

```
OUT/images/ID.jpg                              the pictures
OUT/{train,iid_val,test}_instances.json        COCO instances: images, annotations, categories
OUT/{train,iid_val,test}_edited_instances.json         the same of images with one object removed
OUT/{train,iid_val,test}_edited_pairs.json             [[original image id, edited image id], ...]
OUT/boxes.json                                 an image a record: image_id, file, width, height, boxes
OUT/world.json                                 the settings and hashes; written last
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqa_gs.common.files import StrPath
from vqa_gs.demo.folder import ImageBoxes, Progress, WorldFolder, image_file, read_image_boxes
from vqa_gs.demo.objects import (
    EDITED_SPLITS,
    OBJECT_SPLITS,
    ObjectWorldSettings,
    box_records,
    build_edited_pictures,
    build_pictures,
    category_records,
    instances,
)
from vqa_gs.demo.scenes import IMAGE_SIZE

# Raised with every change of what a seed gives.
_FORMAT_VERSION = 1
_ANNOTATIONS_APART = 1_000_000


@dataclass(frozen=True)
class ObjectWorld:
    """A finished world of named objects on disk.

    Attributes:
        root: its folder.
        settings: what it was made with.
    """

    root: Path
    settings: ObjectWorldSettings

    def instances(self, split: str) -> Path:
        """Returns the COCO instances of ``train``, ``iid_val``, ``test``, or of their edits: ``train_edited``, ..."""
        return self.root / f"{split}_instances.json"

    def pairs(self, split: str) -> Path:
        """Returns the list of [original image id, edited image id] of ``train_edited``, ..."""
        return self.root / f"{split}_pairs.json"

    def image_boxes(self) -> Iterator[ImageBoxes]:
        """Yields every image with its boxes."""
        return read_image_boxes(self.root / "boxes.json")


def write_object_world(
    out: StrPath, settings: ObjectWorldSettings | None = None, progress: Progress | None = None
) -> ObjectWorld:
    """Writes a world of named objects, or returns the finished one that is already there.

    Args:
        out: the folder to write to.
        settings: what world; the defaults if left out.
        progress: called with the number of images written and their total.

    Raises:
        UsageError: the settings make no sense, or ``out`` holds a world of other settings.
        DataError: ``out`` cannot be written to.
    """
    settings = settings or ObjectWorldSettings()
    settings.check()
    folder = WorldFolder(Path(out), "vqa-gs-object-world", _FORMAT_VERSION, asdict(settings))
    world = ObjectWorld(folder.root, settings)
    if folder.is_finished():
        return world
    folder.begin()
    built = {split: build_pictures(split, settings) for split in OBJECT_SPLITS}
    for split in EDITED_SPLITS:
        of = split.removesuffix("_edited")
        built[split] = build_edited_pictures(split, built[of], getattr(settings, f"{of}_edits"), settings)
    records = [record for part in built.values() for record in box_records(part)]
    images_hash = folder.draw([(image_file(image_id), scene) for image_id, _, scene in records], progress)
    categories = category_records(settings.seed)
    side = {"width": IMAGE_SIZE, "height": IMAGE_SIZE}
    files: dict[Path, Any] = {
        folder.root / "boxes.json": [
            {"image_id": image_id, "file": image_file(image_id), **side, "boxes": boxes}
            for image_id, boxes, _ in records
        ]
    }
    for number, (split, part) in enumerate(built.items()):
        files[world.instances(split)] = instances(part, categories, number * _ANNOTATIONS_APART + 1)
        if split in EDITED_SPLITS:
            files[world.pairs(split)] = [
                [original, part.first_id + at] for at, (original, _) in enumerate(part.originals)
            ]
    folder.finish(files, images_hash, {"images": {split: len(part.scenes) for split, part in built.items()}})
    return world
