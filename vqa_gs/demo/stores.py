"""Drawn worlds and their region stores: features of the boxes, and copies with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console

from vqa_gs.demo.folder import ImageBoxes, Progress
from vqa_gs.demo.noise import add_noise, check_strength
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.run import extract_regions
from vqa_gs.features.store import RegionStore

Bar = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]
SomeSettings = TypeVar("SomeSettings")
SomeWorld = TypeVar("SomeWorld", bound="DrawnWorld")


class DrawnWorld(Protocol):
    """A world whose images are on disk."""

    def image_boxes(self) -> Iterator[ImageBoxes]:
        """Yields every image with its boxes."""


def draw_and_extract(
    write: Callable[[Path, SomeSettings | None, Progress], SomeWorld],
    out: Path,
    console: Console,
    bar: Bar,
    settings: SomeSettings | None = None,
    noises: Sequence[float] = (),
) -> tuple[SomeWorld, Path]:
    """Writes a world into ``world`` and its region store ``regions.h5``; what is finished is not done again.

    Args:
        write: writes the world, given its folder, its settings and what is told how far it is.
        out: folder of all of it.
        console: where remarks go.
        bar: makes a progress bar.
        settings: of the world; the defaults when left out.
        noises: strengths of noise for which a store ``regions-noise-S.h5`` is written beside, see `add_noise`.

    Returns:
        The world, and its store without noise.

    Raises:
        UsageError: a strength is not positive, or the settings make no sense.
    """
    for strength in noises:
        check_strength(strength)
    with bar("drawing scenes") as report:
        world = write(out / "world", settings, report)
    # Scenes are drawn 128 x 128; no more is to be seen in them.
    backbone = load_backbone(short_side=224, long_side=224)
    console.print(f"backbone: efficientnet-lite0, {backbone.weights} weights", highlight=False)
    store = out / "regions.h5"
    items = [(image.image_id, image.path, image.boxes) for image in world.image_boxes()]
    if not _holds(store, items, backbone.fingerprint):
        with bar("extracting regions") as report:
            extract_regions(items, backbone, store, progress=report)
    for strength in noises:
        with bar(f"adding noise of {strength:g}") as report:
            add_noise(store, out / f"regions-noise-{strength:g}.h5", strength, progress=report)
    return world, store


def _holds(store: Path, items: list[Any], fingerprint: str) -> bool:
    """Whether an earlier call finished exactly this extraction."""
    if not store.exists():
        return False
    with RegionStore(store) as there:
        return list(there.image_ids) == [item[0] for item in items] and there.fingerprint == fingerprint
