"""A detector's proposals, chosen as bottom-up attention chose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, Found, RegionLimits, box_source
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image
    from vqa_gs.features.extract.detector import Detector


@box_source("detector")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; its argument is the detector's name, none where the backbone is the detector."""
    from vqa_gs.features.extract.detector import Detector, load_detector

    backbone = settings.backbone
    if isinstance(backbone, Detector) and argument in ("", backbone.name):
        return DetectorBoxes(backbone, settings.limits)
    if not argument:
        raise UsageError(
            "--boxes detector needs the detector's name, as the backbone is none",
            mend="write detector:fasterrcnn_resnet50_fpn_v2",
        )
    try:
        detector = load_detector(argument, settings.weights, 0, (None, None), settings.device, settings.allow_download)
    except UsageError as error:
        raise UsageError(error.problem, mend=(error.mend or "").replace("--weights", "--detector-weights")) from error
    return DetectorBoxes(detector, settings.limits)


class DetectorBoxes(BoxSource):
    """A detector's proposals, with the class it takes each for."""

    columns = ("class", "class_score")

    def __init__(self, detector: Detector, limits: RegionLimits) -> None:
        from vqa_gs.features.extract.detector import recipe_facts

        self.detector: Any = detector
        self.limits = limits
        self.facts: dict[str, Any] = {
            "source": "detector",
            "detector": detector.name,
            "weights_sha256": detector.facts["weights_sha256"],
            "preprocessing": detector.facts["preprocessing"],
            **recipe_facts(limits),
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        return self.detector.detect([self.detector.prepare(image)], [image.size], self.limits)[0][0]
