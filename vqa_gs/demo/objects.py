"""What is in the images of the world of named objects: themes whose objects and backgrounds go together.

A class is a shape in a colour ("red star"); no shape and no colour alone tells one. Sixteen classes make four themes.
An image has one theme: most of its objects, seldom one of another theme, and mostly one of the theme's own backgrounds.
So an object's company says as much about it as its looks do, and misleads once the object is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import UsageError
from vqa_gs.demo.drawing import outline
from vqa_gs.demo.questions import COLORS, SHAPES
from vqa_gs.demo.regions import Region, lay_regions
from vqa_gs.demo.scenes import IMAGE_SIZE, MAX_OBJECTS, MIN_OBJECTS, Scene, assemble

OBJECT_SPLITS = ("train", "iid_val", "test")
EDITED_SPLITS = ("train_edited", "iid_val_edited", "test_edited")

_FIRST_ID = {
    "train": 100_000,
    "iid_val": 200_000,
    "test": 300_000,
    "train_edited": 700_000,
    "iid_val_edited": 800_000,
    "test_edited": 900_000,
}
_MOST = 100_000
_THEMES = 4
_TEXTURES = 3  # backgrounds of a theme
_STRAYS = (0.55, 0.35, 0.1)  # how often an image has no, one, two objects of other themes
_CATEGORIES, _BACKGROUNDS, _IMAGE, _EDITS = range(4)

Kind = tuple[str, str]


@dataclass(frozen=True)
class ObjectWorldSettings:
    """What world of named objects to write.

    Attributes:
        train_images: images of the training split.
        iid_val_images: images of the in-domain split, drawn like training.
        test_images: images of the test split, drawn like training too.
        train_edits: training images with one object removed. The first n do not depend on this number.
        iid_val_edits: images of the in-domain split with one object removed, likewise.
        test_edits: test images with one object removed, likewise.
        company: how often an image has each object of its theme.
        background: how often an image has one of its theme's backgrounds; else one of its own.
        seed: the world's seed.
    """

    train_images: int = 200
    iid_val_images: int = 300
    test_images: int = 400
    train_edits: int = 100
    iid_val_edits: int = 300
    test_edits: int = 800
    company: float = 0.9
    background: float = 0.95
    seed: int = 0

    def check(self) -> None:
        """Raises `UsageError` if the settings make no world."""
        for split in OBJECT_SPLITS:
            if not 1 <= getattr(self, f"{split}_images") < _MOST:
                raise UsageError(f"{split}_images is {getattr(self, f'{split}_images')}", mend=f"1 to {_MOST - 1}")
        for split in OBJECT_SPLITS:
            # Every image has two objects at the least.
            if not 0 <= getattr(self, f"{split}_edits") <= MIN_OBJECTS * getattr(self, f"{split}_images"):
                raise UsageError(
                    f"{split}_edits is {getattr(self, f'{split}_edits')}", mend="0 to twice as many as images will do"
                )
        for name in ("company", "background"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}", mend="it is a probability, 0 to 1")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}", mend="0 or more will do")


@dataclass
class Pictures:
    """The images of one split.

    Attributes:
        first_id: the id of the first; they are numbered from there.
        scenes: by image.
        regions: by image.
        originals: of edited images: the original's id, and which of its objects was removed.
    """

    first_id: int
    scenes: list[Scene] = field(default_factory=list)
    regions: list[list[Region]] = field(default_factory=list)
    originals: list[tuple[int, int]] = field(default_factory=list)


def themes(seed: int) -> list[list[Kind]]:
    """Returns the objects (shape, colour) of each theme; a shape or a colour is never twice in one."""
    rng = np.random.default_rng([seed, _CATEGORIES])
    found: list[list[Kind]] = []
    for turn in range(_THEMES // 2):
        shapes = [SHAPES[at] for at in rng.permutation(len(SHAPES))]
        half = len(shapes) // 2
        taken = {kind for theme in found for kind in theme}
        while True:
            colors = [COLORS[at] for at in rng.permutation(len(COLORS))]
            kinds = list(zip(shapes, colors, strict=True))
            if not taken.intersection(kinds):
                break
        found += [kinds[:half], kinds[half:]]
        assert len(found) == 2 * (turn + 1)
    return found


def category_records(seed: int) -> list[dict[str, Any]]:
    """Returns the categories of COCO files, theme after theme; the supercategory is the theme."""
    return [
        {"id": 4 * number + place + 1, "name": f"{color} {shape}", "supercategory": f"theme {number + 1}"}
        for number, theme in enumerate(themes(seed))
        for place, (shape, color) in enumerate(theme)
    ]


def build_pictures(split: str, settings: ObjectWorldSettings) -> Pictures:
    """Builds the images of ``train``, ``iid_val`` or ``test``."""
    known = themes(settings.seed)
    textures = np.random.default_rng([settings.seed, _BACKGROUNDS]).integers(2**31, size=(_THEMES, _TEXTURES))
    built = Pictures(_FIRST_ID[split])
    for position in range(getattr(settings, f"{split}_images")):
        rng = np.random.default_rng([settings.seed, _IMAGE, OBJECT_SPLITS.index(split), position])
        theme = int(rng.integers(_THEMES))
        scene = assemble(_company(known, theme, settings.company, rng), rng)
        if rng.random() < settings.background:
            scene = replace(scene, texture=int(textures[theme, rng.integers(_TEXTURES)]))
        built.scenes.append(scene)
        built.regions.append(lay_regions(scene, rng))
    return built


def _company(known: Sequence[Sequence[Kind]], theme: int, share: float, rng: np.random.Generator) -> list[Kind]:
    """Returns the objects of one image of a theme."""
    others = [kind for number, kinds in enumerate(known) if number != theme for kind in kinds]
    while True:
        chosen = [kind for kind in known[theme] if rng.random() < share]
        strays = int(rng.choice(len(_STRAYS), p=_STRAYS))
        chosen += [others[at] for at in rng.choice(len(others), strays, replace=False)]
        if MIN_OBJECTS <= len(chosen) <= MAX_OBJECTS:
            return chosen


def build_edited_pictures(split: str, of: Pictures, count: int, settings: ObjectWorldSettings) -> Pictures:
    """Builds edited images: one object removed, everything else and all boxes as they were."""
    rng = np.random.default_rng([settings.seed, _EDITS, EDITED_SPLITS.index(split)])
    removals = [(at, thing) for at, scene in enumerate(of.scenes) for thing in range(len(scene.things))]
    built = Pictures(_FIRST_ID[split])
    for number in rng.permutation(len(removals))[:count].tolist():
        at, gone = removals[number]
        scene = of.scenes[at]
        things = tuple(replace(thing, visible=index != gone) for index, thing in enumerate(scene.things))
        built.scenes.append(replace(scene, things=things))
        built.regions.append([(box, None if index == gone else index) for box, index in of.regions[at]])
        built.originals.append((of.first_id + at, gone))
    return built


def instances(built: Pictures, categories: Sequence[dict[str, Any]], first_annotation: int) -> dict[str, Any]:
    """Returns a COCO instances file of some images: boxes, polygons and areas in pixels.

    Args:
        built: the images.
        categories: as `category_records` returns them.
        first_annotation: the id of the first annotation.
    """
    category = {record["name"]: record["id"] for record in categories}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for position, scene in enumerate(built.scenes):
        image_id = built.first_id + position
        record = {"id": image_id, "file_name": f"{image_id:06d}.jpg", "width": IMAGE_SIZE, "height": IMAGE_SIZE}
        if built.originals:
            original, gone = built.originals[position]
            thing = scene.things[gone]
            record |= {"original_image_id": original, "removed_category_id": category[f"{thing.color} {thing.shape}"]}
        images.append(record)
        for thing in scene.things:
            if thing.visible:
                number = first_annotation + len(annotations)
                annotations.append(
                    _annotation(number, image_id, category[f"{thing.color} {thing.shape}"], outline(thing))
                )
    return {"images": images, "annotations": annotations, "categories": list(categories)}


def _annotation(number: int, image_id: int, category: int, polygon: NDArray[np.float64]) -> dict[str, Any]:
    (x, y), low, high = polygon.T, polygon.min(axis=0), polygon.max(axis=0)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [round(edge, 2) for edge in (*low.tolist(), *(high - low).tolist())],
        # Gauss's shoelace formula.
        "area": round(abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2, 2),
        "iscrowd": 0,
        "segmentation": [polygon.round(2).reshape(-1).tolist()],
    }


def box_records(built: Pictures) -> Iterator[tuple[int, list[list[float]], Scene]]:
    """Yields the id, the boxes and the scene of every image."""
    for position, (scene, regions) in enumerate(zip(built.scenes, built.regions, strict=True)):
        yield built.first_id + position, [list(box) for box, _ in regions], scene
