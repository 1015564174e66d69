"""Edge boxes (Zitnick and Dollar, ECCV 2014) of OpenCV: boxes around closed contours."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, Found, RegionLimits, box_source, refuse_argument
from vqa_gs.features.extract.opencv import require_opencv, shrunk
from vqa_gs.features.layout import ImageId

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file, sha256_file

if TYPE_CHECKING:
    from PIL import Image

_LONG_SIDE = 640
_OPTIONS = ("stride", "shrinkNumber", "patchSize", "patchInnerSize", "selfsimilarityGridSize", "numberOfTrees")


@box_source("edge-boxes")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; it has no argument, but needs the file of a structured edge detector."""
    refuse_argument("edge-boxes", argument)
    if settings.model is None:
        raise UsageError(
            "--boxes edge-boxes needs a model of structured edges",
            mend="give the file with --edge-model; opencv_extra has it as model.yml.gz",
        )
    return EdgeBoxes(settings.limits, settings.model)


class EdgeBoxes(BoxSource):
    """The boxes with most of closed contours in them, the best first."""

    def __init__(self, limits: RegionLimits, model: StrPath) -> None:
        self._cv2 = require_opencv("edge-boxes")
        self._limits = limits
        self._lock = threading.Lock()
        file = require_file(model, "structured edge model")
        try:
            _check_model(self._cv2, str(file))
            self._edges = self._cv2.ximgproc.createStructuredEdgeDetection(str(file))
        except Exception as error:  # OpenCV has one error for everything
            reason = " ".join(str(error).split())[:120]
            raise DataError(f"not readable as a model of structured edges: {reason}", file=file) from error
        self.facts: dict[str, Any] = {
            "source": "edge-boxes",
            "model_sha256": sha256_file(file),
            "long_side": _LONG_SIDE,
            "regions": str(limits),
            "opencv": self._cv2.__version__,
        }

    def __call__(self, image_id: ImageId, image: Image.Image) -> Found:
        """See ``BoxSource``."""
        pixels, factor = shrunk(image, _LONG_SIDE)
        with self._lock:  # the detector keeps what it works on in itself
            edges = self._edges.detectEdges(np.ascontiguousarray(pixels[..., ::-1], np.float32) / 255)
            directions = self._edges.computeOrientation(edges)
            edges = self._edges.edgesNms(edges, directions)
            finder = self._cv2.ximgproc.createEdgeBoxes(maxBoxes=self._limits.high)
            found = finder.getBoundingBoxes(edges, directions)[0]
        rows = np.array(found, np.float32).reshape(-1, 4)
        return Found(np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1) * factor)


def _check_model(cv2: Any, path: str) -> None:
    """Looks into a model before OpenCV loads it, which divides by what is not there and ends the process."""
    storage = cv2.FileStorage(path, cv2.FILE_STORAGE_READ)
    try:
        options = storage.getNode("options")
        if options.empty() or storage.getNode("childs").empty():
            raise ValueError("it has no trees")
        for name in (*_OPTIONS, "numberOfTreesToEvaluate"):
            if options.getNode(name).empty() or options.getNode(name).real() < 1:
                raise ValueError(f"its option {name} is missing")
    finally:
        storage.release()
