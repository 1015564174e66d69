"""Further images, described as those of a store were: from its fingerprint back to the backbone and the boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.backbones import Backbone, family_of, load_backbone
from vqa_gs.features.extract.boxes import SOURCES, BoxSettings, BoxSource, NetworkRegions, load_boxes
from vqa_gs.features.extract.regions import Described, Found, RegionLimits
from vqa_gs.features.extract.run import fingerprint_of
from vqa_gs.features.extract.workers import checked
from vqa_gs.features.fingerprint import differences
from vqa_gs.features.layout import ImageId
from vqa_gs.features.store import Regions

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath

if TYPE_CHECKING:
    from PIL import Image

# Other versions of the same libraries give nearly the same numbers: told, not refused.
_TOLD = ("versions.", "boxes.opencv")


@dataclass(frozen=True)
class Wishes:
    """What a fingerprint does not say, or what is wanted otherwise.

    Attributes:
        boxes: where boxes come from, as ``--boxes`` of an extraction names it; None: as in the store.
        regions: how many regions an image, for ``boxes``; None: as in the store, else 36.
        weights: a file of the backbone's weights, where the store's were of a file.
        detector_weights: a file of the weights of a detector that is not the backbone.
        edge_model: the file of the model of ``edge-boxes``.
        device: where networks run.
        allow_download: whether weights may be fetched.
        allow_other: go on where features would be made otherwise than the store's.
    """

    boxes: str | None = None
    regions: str | None = None
    weights: StrPath | None = None
    detector_weights: StrPath | None = None
    edge_model: StrPath | None = None
    device: str = "cpu"
    allow_download: bool = False
    allow_other: bool = False


@dataclass
class Extractor:
    """Describes images one by one.

    Attributes:
        backbone: makes the features.
        source: gives the boxes; None: each image comes with its own.
        lacks: why there is no source, for a message.
        notes: what whoever asks should know, a line each.
    """

    backbone: Backbone
    source: BoxSource | None
    lacks: str = ""
    notes: list[str] = field(default_factory=list)

    def describe(self, image: Image.Image, image_id: ImageId = "", boxes: np.ndarray | None = None) -> Regions:
        """Returns the regions of one image, their features rounded to float16 as a store's are.

        Args:
            image: upright RGB, as `load_image` gives it.
            image_id: its id, which boxes of a file are found by.
            boxes: (n, 4), x1, y1, x2, y2 in pixels; None: those of the source.

        Raises:
            DataError: the boxes are none, or the source has none of this image.
            UsageError: there are no boxes to be had.
        """
        prepared, backbone, source = self.backbone.prepare(image), self.backbone, self.source
        found = None
        if boxes is not None:
            found = Found(np.asarray(boxes, np.float32))
        elif source is None:
            raise UsageError(
                f"the boxes of this image are not known: {self.lacks}",
                mend="name the file with --boxes table:BOXES.json, coco:INSTANCES.json or store:REGIONS.h5",
            )
        elif not (isinstance(source, NetworkRegions) and source.network is backbone):
            found = source(image_id, image)
        if found is None:
            assert isinstance(source, NetworkRegions)
            (described,) = backbone.extract([prepared], [image.size], limits=source.limits)
            checked(described, image.size)
        else:
            (described,) = backbone.extract([prepared], [image.size], [checked(found, image.size)])
        return _regions(described, image.size)


def _regions(described: Described, size: tuple[int, int]) -> Regions:
    features = described.features.astype(np.float16).astype(np.float32)
    return Regions(features, described.boxes, np.array(size, np.int32), dict(described.columns))


def extractor_of(fingerprint: str, wishes: Wishes | None = None) -> Extractor:
    """Returns what describes images as those of a store with this fingerprint were described.

    Raises:
        UsageError: the store was not made by extraction, what it was made with is not to be had, or would give other
            features.
        DataError: a file is missing or damaged.
    """
    wishes = Wishes() if wishes is None else wishes
    # Several stores of one run have a line each; images are told by the first.
    facts = _facts(fingerprint.partition("\n")[0])
    backbone = _load_backbone(facts, wishes)
    source, lacks = _load_source(facts, wishes, backbone)
    wanted = dict(facts)
    made = json.loads(fingerprint_of(backbone, source))
    if source is None or wishes.boxes is not None:
        wanted.pop("boxes", None)
        made.pop("boxes", None)
    # Where weights come from is told; which they are is what counts.
    made["weights"] = wanted.get("weights")
    different = differences(json.dumps(made, sort_keys=True), json.dumps(wanted, sort_keys=True))
    told = [line for line in different if line.startswith(_TOLD)]
    refused = [line for line in different if line not in told]
    if refused and not wishes.allow_other:
        raise UsageError(
            f"features would be made otherwise than the run's: {'; '.join(refused[:3])}",
            mend="give what the store was made with (--weights, --boxes), or --allow-other-features",
        )
    notes = [f"features may differ a little from the run's: {'; '.join(told)}"] if told else []
    notes += [f"features are made otherwise than the run's: {'; '.join(refused[:3])}"] if refused else []
    return Extractor(backbone, source, lacks, notes)


def _facts(fingerprint: str) -> dict[str, Any]:
    try:
        facts = json.loads(fingerprint)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or facts.get("made_by") != "extract" or not isinstance(facts.get("backbone"), str):
        raise UsageError(
            "the run's features were not made by `vqa-gs features extract`, so those of a picture cannot be made alike",
            mend="ask about an image of a store: `vqa-gs predict --question ... --image-id ... --features STORE`",
        )
    return facts


def _load_backbone(facts: Mapping[str, Any], wishes: Wishes) -> Backbone:
    name, weights = facts["backbone"], facts.get("weights")
    if wishes.weights is not None:
        weights = str(wishes.weights)
    elif weights == "file":
        raise UsageError("the run's features were made with a file of weights", mend="name it with --weights FILE")
    elif weights == "downloaded":
        weights = "pretrained"
    try:
        return load_backbone(
            name,
            str(weights),
            **family_of(name).settings_of(name, facts),
            device=wishes.device,
            allow_download=wishes.allow_download,
        )
    except UsageError as error:
        raise UsageError(f"the run's features cannot be made here: {error.problem}", mend=error.mend) from error


def _load_source(facts: Mapping[str, Any], wishes: Wishes, backbone: Backbone) -> tuple[BoxSource | None, str]:
    """Returns the source of boxes; or None, and why."""
    made = facts.get("boxes") or {}
    limits = _limits(made, wishes.regions)
    settings = BoxSettings(
        limits, backbone, wishes.device, str(wishes.detector_weights or "pretrained"), wishes.edge_model,
        wishes.allow_download,
    )  # fmt: skip
    if wishes.boxes is not None:
        return load_boxes(wishes.boxes, settings), ""
    kind = made.get("source")
    if kind is None:
        return None, "the run's images came with their boxes"
    if {"sha256", "content_hash"} & made.keys():
        return None, f"those of the run came from a file, of the kind {kind}"
    try:
        return SOURCES[kind](str(made.get(kind, "")), settings), ""
    except DataError:
        raise
    except UsageError as error:
        raise UsageError(f"the run's boxes cannot be made here: {error.problem}", mend=error.mend) from error


def _limits(made: Mapping[str, Any], wanted: str | None) -> RegionLimits:
    if wanted is not None:
        return RegionLimits.parse(wanted)
    if "regions" in made:
        return RegionLimits.parse(str(made["regions"]))
    cells: Sequence[int] = made.get("cells") or (5, 7)
    # A grid is told by its cells, and has the whole image besides.
    return RegionLimits.parse(str(1 + prod(cells)))
