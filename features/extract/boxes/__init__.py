"""Where the boxes of an extraction come from: one source a file, registered by name.

A source is named ``KIND`` or ``KIND:ARGUMENT`` on the command line. Its module registers a function that makes it
from the argument and the settings; the source is then asked image by image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.regions import Found, RegionLimits
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.common.registry import Registry

if TYPE_CHECKING:
    from PIL import Image
    from vqa_gs.features.extract.backbones import Backbone


class BoxSource(ABC):
    """Gives the boxes of any image.

    Attributes:
        columns: which columns every image's boxes come with.
        facts: everything the boxes depend on besides the image, ready for JSON.
    """

    columns: tuple[str, ...] = ()
    facts: dict[str, Any]

    @abstractmethod
    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """Returns an image's boxes; DataError where there are none to be had."""


class NetworkRegions(BoxSource):
    """The regions a network makes itself; where it is the backbone too, it makes them and their features at once.

    Args:
        kind: the source's name.
        network: a backbone whose ``own_columns`` is not None; it is asked where networks run.
        limits: how many regions an image.
    """

    def __init__(self, kind: str, network: Backbone, limits: RegionLimits) -> None:
        self.network, self.limits, self.columns = network, limits, network.own_columns or ()
        self.facts = {
            "source": kind,
            kind: network.name,
            "weights_sha256": network.facts["weights_sha256"],
            "preprocessing": network.facts["preprocessing"],
            **network.own_facts(limits),
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        return self.network.extract([self.network.prepare(image)], [image.size], limits=self.limits)[0]


def makes_own(network: Backbone | type[Backbone], kind: str) -> bool:
    """Returns whether a network makes regions of its own that are a source of this kind."""
    return network.own_columns is not None and network.own_kind == kind


def cells_of_backbone(kind: str, argument: str, settings: BoxSettings, mend: str) -> NetworkRegions:
    """Makes the source of boxes that are the backbone's own cells.

    Raises:
        UsageError: the backbone has none of this kind, or another network is named.
    """
    network = settings.backbone
    if network is None or not makes_own(network, kind):
        raise UsageError(f"--boxes {kind}: the backbone has none", mend=mend)
    if argument not in ("", network.name):
        raise UsageError(f"--boxes {kind} takes no argument, got {argument!r}", mend=f"write {kind}")
    return NetworkRegions(kind, network, settings.limits)


@dataclass(frozen=True)
class BoxSettings:
    """What sources are made from, besides their argument.

    Attributes:
        limits: how many regions an image.
        backbone: what makes the features; a network that makes regions itself can give the boxes too.
        device: where a detector runs.
        weights: of a detector that is not the backbone: a file, ``"random"`` or ``"pretrained"``.
        model: the file a source needs besides.
        allow_download: whether a detector's weights may be fetched.
    """

    limits: RegionLimits = field(default_factory=RegionLimits)
    backbone: Backbone | None = None
    device: str = "cpu"
    weights: str = "pretrained"
    model: StrPath | None = None
    allow_download: bool = False


SOURCES: Registry[Callable[[str, BoxSettings], BoxSource]] = Registry(
    "source of boxes", "vqa_gs.features.extract.boxes"
)
box_source = SOURCES.register


def load_boxes(spec: str, settings: BoxSettings) -> BoxSource:
    """Makes the source of boxes that ``KIND`` or ``KIND:ARGUMENT`` names.

    Raises:
        UsageError: there is no such kind, or its argument makes no sense.
        DataError: a file it needs is missing or damaged.
    """
    kind, _, argument = spec.partition(":")
    return SOURCES[kind](argument, settings)


def require_argument(kind: str, argument: str, what: str) -> Path:
    """Returns the argument of a source that reads a file."""
    if not argument:
        raise UsageError(f"--boxes {kind} needs {what}", mend=f"write {kind}:FILE")
    return Path(argument)


def refuse_argument(kind: str, argument: str) -> None:
    """Refuses the argument of a source that has none."""
    if argument:
        raise UsageError(f"--boxes {kind} takes no argument, got {argument!r}", mend=f"write {kind}")


def clipped(found: Found, size: tuple[int, int], limit: int) -> Found:
    """Returns given boxes cut off at the image's borders, without those of no area, at most ``limit`` of them."""
    width, height = size
    boxes = np.clip(found.boxes, 0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    kept = np.nonzero((boxes[:, 2:] > boxes[:, :2]).all(1))[0][:limit]
    return Found(boxes[kept], {name: values[kept] for name, values in found.columns.items()})


def require_size(image_id: ImageId, file: StrPath, told: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuses boxes that were drawn in an image of another size."""
    if told != size:
        raise DataError(
            f"the boxes are of an image of {told[0]} x {told[1]} pixels, this one has {size[0]} x {size[1]}",
            file=file,
            record=f"image {image_id}",
            mend="give the image the boxes were drawn in",
        )
