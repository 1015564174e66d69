"""Region stores of drawn images: features of their boxes, and copies with noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from features.extract.backbone import load_backbone
from features.extract.run import extract_regions
from features.store import RegionStore
from vqa_gs.demo.folder import ImageBoxes
from vqa_gs.demo.noise import add_noise, check_strength

Bar = Callable[[str], AbstractContextManager[Callable[[int, int | None], None]]]


def check_strengths(noises: Sequence[float]) -> None:
    """Raises `UsageError` if a strength of noise makes no sense."""
    for strength in noises:
        check_strength(strength)


def make_stores(
    out: Path, images: Iterable[ImageBoxes], console: Console, bar: Bar, noises: Sequence[float] = ()
) -> Path:
    """Writes ``regions.h5`` and for each strength of noise ``regions-noise-S.h5``; what is finished is not done again.

    Args:
        out: their folder.
        images: the images and their boxes.
        console: where remarks go.
        bar: makes a progress bar.
        noises: strengths, see `add_noise`.

    Returns:
        The store without noise.
    """
    # Scenes are drawn 128 x 128; no more is to be seen in them.
    backbone = load_backbone(short_side=224, long_side=224)
    console.print(f"backbone: efficientnet-lite0, {backbone.weights} weights", highlight=False)
    store = out / "regions.h5"
    items = [(image.image_id, image.path, image.boxes) for image in images]
    if not _holds(store, items, backbone.fingerprint):
        with bar("extracting regions") as report:
            extract_regions(items, backbone, store, progress=report)
    for strength in noises:
        with bar(f"adding noise of {strength:g}") as report:
            add_noise(store, out / f"regions-noise-{strength:g}.h5", strength, progress=report)
    return store


def _holds(store: Path, items: list[Any], fingerprint: str) -> bool:
    """Whether an earlier call finished exactly this extraction."""
    if not store.exists():
        return False
    with RegionStore(store) as there:
        return list(there.image_ids) == [item[0] for item in items] and there.fingerprint == fingerprint
