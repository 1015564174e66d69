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

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vqa_gs.common.files import StrPath
from vqa_gs.demo.folder import ImageBoxes, Progress, WorldFolder, read_image_boxes
from vqa_gs.demo.settings import EDITED, SPLITS, WorldSettings
from vqa_gs.demo.splits import build_edits, build_split, image_records, relevant_boxes, training_priors

__all__ = ["EDITED", "SPLITS", "ImageBoxes", "World", "WorldSettings", "write_world"]

# Raised with every change of what a seed gives, so that no world of an older program is taken for
# a finished one.
_FORMAT_VERSION = 2


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
        return read_image_boxes(self.boxes)


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
    folder = WorldFolder(Path(out), "vqa-gs-world", _FORMAT_VERSION, asdict(settings))
    world = World(folder.root, settings)
    if folder.is_finished():
        return world
    folder.begin()
    preferred = training_priors(settings)
    built = {split: build_split(split, settings, preferred) for split in SPLITS}
    built[EDITED], pairs = build_edits(settings, built["train"])

    records = [record for split, part in built.items() for record in image_records(split, part)]
    images_hash = folder.draw([(boxes["file"], scene) for boxes, _, scene in records], progress)
    files: dict[Path, Any] = {
        world.edited_pairs: pairs,
        world.boxes: [boxes for boxes, _, _ in records],
        world.scenes: [scene for _, scene, _ in records],
    }
    for split, part in built.items():
        files[world.questions(split)] = part.questions
        files[world.annotations(split)] = part.annotations
        if split in SPLITS[1:]:
            files[world.relevant_boxes(split)] = relevant_boxes(part)
    about = {
        "images": {split: len(part.scenes) for split, part in built.items()},
        "questions": {split: len(part.questions) for split, part in built.items()},
        "preferred_answers": [[query.kind, query.subject, answer] for query, answer in preferred.items()],
    }
    folder.finish(files, images_hash, about)
    return world
