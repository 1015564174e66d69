"""Networks that describe regions: one family a file, registered under the names it answers to.

A name is written out (``my-backbone``) or a pattern (``fasterrcnn_*``). The class behind the name that fits best loads
the network; then it is given images as large as it wants them, with boxes or, where it makes regions itself, without.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vqa_gs.features.extract.images import to_tensor
from vqa_gs.features.extract.regions import Described, Found, RegionLimits
from vqa_gs.features.extract.weights import hash_state

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry

if TYPE_CHECKING:
    from PIL import Image

LARGEST_SIDE = 8192
"""Images are not scaled to more pixels a side: ten times as many take tens of gigabytes before a network sees one."""

_PACKAGES = ("torch", "torchvision", "timm", "Pillow")

OwnRegions = tuple[torch.Tensor, torch.Tensor, Mapping[str, np.ndarray]]
"""What a network makes of one image by itself: boxes (n, 4), features (n, dim), columns (n,) by name; n at least 1."""


@dataclass(frozen=True)
class BackboneSettings:
    """What a backbone is loaded with.

    Attributes:
        weights: ``"pretrained"`` (of an installed package, or fetched where that is allowed), ``"random"``, a file
            with a state dictionary, or ``"auto"``: pretrained where it is to be had, otherwise random.
        seed: of random weights.
        short_side: pixels of a scaled image's short side; None: the network's own.
        long_side: its long side has at most so many; None: the network's own.
        levels: which levels of a convolutional network are read off, negative ones from the last; None: its own.
        device: where it runs.
        allow_download: whether weights may be fetched.
        pool: rows and columns that a network's own grid of cells is averaged to; None: as it is.
        whole: whether the whole image is a last region beside the cells.
    """

    weights: str = "auto"
    seed: int = 0
    short_side: int | None = None
    long_side: int | None = None
    levels: Sequence[int] | None = None
    device: str = "cpu"
    allow_download: bool = False
    pool: tuple[int, int] | None = None
    whole: bool = False


class Backbone(ABC):
    """A network that gives each region of an image one vector.

    An image is scaled so that its short side has ``short_side`` pixels, or its long side ``long_side`` where that
    is less, and keeps its shape; zeros pad it to a multiple of ``multiple``. The same calls on the same machine give
    the same bits. Any number of threads may extract at once.

    Args:
        model: the network with its weights.
        settings: what it was loaded with.
        name: the network's name.
        weights: ``"pretrained"``, ``"random"``, ``"downloaded"`` or the path of a file.
        note: a sentence for the user on where the weights come from.
        sides: the network's own short and long side, for settings that give none.
        mean: of each colour, taken off before the network sees it.
        std: by which each colour is divided then.
        multiple: of so many pixels are the sides the network takes: its largest stride, or its patch.
        interpolation: how images are scaled: ``"bilinear"`` or ``"bicubic"``.

    Attributes:
        dim: numbers a region.
        facts: everything the features depend on, ready for JSON.
        device: where the network runs.
        own_columns: what the regions it makes by itself come with; None: it makes none.
        own_kind: which source of boxes they are.
        settings: what it was loaded with.
    """

    dim: int
    own_columns: tuple[str, ...] | None = None
    own_kind: str = "detector"

    def __init__(
        self,
        model: Any,
        settings: BackboneSettings,
        *,
        name: str,
        weights: str,
        note: str,
        sides: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        multiple: int,
        interpolation: str = "bilinear",
    ) -> None:
        self.settings, self._interpolation = settings, interpolation
        self.name, self.weights, self.note, self.multiple = name, weights, note, multiple
        self.short_side = sides[0] if settings.short_side is None else settings.short_side
        self.long_side = max(sides[1], self.short_side) if settings.long_side is None else settings.long_side
        if not 1 <= self.short_side <= self.long_side <= LARGEST_SIDE:
            raise UsageError(
                f"a short side of {self.short_side} and a long side of {self.long_side} pixels are no size",
                mend=f"the short one is no longer than the long one, which has {LARGEST_SIDE:,} at most",
            )
        self._device = torch.device(settings.device)
        self.device = self._device.type
        self._mean, self._std = tuple(map(float, mean)), tuple(map(float, std))
        self.facts: dict[str, Any] = {
            "made_by": "extract",
            "backbone": name,
            "weights": weights if weights in ("pretrained", "random", "downloaded") else "file",
            "weights_sha256": hash_state(model),
            "preprocessing": {
                "short_side": self.short_side,
                "long_side": self.long_side,
                "padding": multiple,
                "interpolation": f"{interpolation}, antialias",
                "mean": self._mean,
                "std": self._std,
            },
            "versions": {package: version(package) for package in _PACKAGES},
        }

    @classmethod
    @abstractmethod
    def load(cls, name: str, settings: BackboneSettings) -> Backbone:
        """Loads the network of a name; UsageError or DataError where it or its weights are not to be had."""

    @classmethod
    def levels_of(cls, name: str, facts: Mapping[str, Any]) -> Sequence[int] | None:
        """Returns the levels that features with these facts were read off at, as settings name them; None: its own."""
        return None

    @classmethod
    def settings_of(cls, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields of `BackboneSettings` that give a network with these facts, weights left out."""
        sides = facts.get("preprocessing") or {}
        made = facts.get("boxes") or {}
        return {
            "short_side": sides.get("short_side"),
            "long_side": sides.get("long_side"),
            "levels": cls.levels_of(name, facts),
            "pool": tuple(made["pool"]) if made.get("pool") else None,
            "whole": bool(made.get("whole_image")),
        }

    @abstractmethod
    def forward(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], boxes: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Returns the features of given boxes.

        Args:
            pixels: (B, 3, H, W) float32, normalised and padded.
            extents: B heights and widths of what is not padding.
            boxes: B tensors (n, 4), x1, y1, x2, y2 in these pixels; n may be 0.

        Returns:
            (T, dim), the boxes of one image after those of the other.
        """

    def propose(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], limits: RegionLimits
    ) -> list[OwnRegions]:
        """Returns the regions the network makes itself and their features; needed where ``own_columns`` is not None.

        Args:
            pixels: as for ``forward``.
            extents: as for ``forward``.
            limits: how many an image.

        Returns:
            A proposal's boxes (in these pixels), features and columns, for each of the B images.
        """
        raise NotImplementedError(f"{self.name} makes no regions of its own")

    def own_facts(self, limits: RegionLimits) -> dict[str, Any]:
        """Returns how its own regions are chosen, for the fingerprint."""
        return {"regions": str(limits)}

    @property
    def fingerprint(self) -> str:
        """JSON of everything the features of given boxes depend on."""
        return json.dumps(self.facts, sort_keys=True)

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
            pixels[None], size, mode=self._interpolation, antialias=True, align_corners=False
        )
        return scaled[0].contiguous()

    def extract(
        self,
        inputs: Sequence[torch.Tensor],
        sizes: Sequence[tuple[int, int]],
        found: Sequence[Found] | None = None,
        limits: RegionLimits | None = None,
    ) -> list[Described]:
        """Returns the regions of each image with their features.

        Args:
            inputs: B images (3, h, w) uint8, as ``prepare`` gives them.
            sizes: B widths and heights of the images as they were.
            found: the boxes of the B images, in pixels of the images as they were; None: the network's own.
            limits: how many regions of its own.
        """
        done: list[Any] = [None] * len(inputs)
        with torch.inference_mode():
            for members in self._groups(inputs):
                group = [inputs[i] for i in members]
                pixels, extents = self._normalized(group), [(image.shape[1], image.shape[2]) for image in group]
                if found is None:
                    own = self.propose(pixels, extents, limits or RegionLimits())
                    for i, (corners, rows, columns) in zip(members, own, strict=True):
                        boxes = corners.float().cpu().numpy() * _factors(sizes[i], inputs[i].shape[:0:-1])
                        boxes = np.minimum(boxes, np.array([*sizes[i], *sizes[i]], np.float32))
                        done[i] = Described(boxes, columns, features=rows.float().cpu().numpy())
                    continue
                scaled = [
                    torch.from_numpy(found[i].boxes * _factors(inputs[i].shape[:0:-1], sizes[i])).to(self._device)
                    for i in members
                ]
                features = self.forward(pixels, extents, scaled).float().cpu().split([len(boxes) for boxes in scaled])
                for i, part in zip(members, features, strict=True):
                    done[i] = Described(found[i].boxes, found[i].columns, features=part.numpy())
        return done

    def _groups(self, inputs: Sequence[torch.Tensor]) -> list[list[int]]:
        """Returns which images go through the network together: on a processor each by itself.

        There, one image's activations stay in the cache and what comes out does not depend on its neighbours; on
        a GPU all that are padded to the same size go together.
        """
        if self.device == "cpu":
            return [[i] for i in range(len(inputs))]
        same: dict[tuple[int, int], list[int]] = {}
        for i, pixels in enumerate(inputs):
            same.setdefault(self._padded(pixels), []).append(i)
        return list(same.values())

    def _padded(self, pixels: torch.Tensor) -> tuple[int, int]:
        height, width = pixels.shape[1:]
        return -(-height // self.multiple) * self.multiple, -(-width // self.multiple) * self.multiple

    def _normalized(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns images of one padded size as the network's input, (B, 3, H, W) float32 on its device."""
        height, width = self._padded(inputs[0])
        out = torch.zeros((len(inputs), 3, height, width), device=self._device).to(memory_format=torch.channels_last)
        mean, std = (torch.tensor(part, device=self._device)[:, None, None] for part in (self._mean, self._std))
        for place, pixels in zip(out, inputs, strict=True):
            place[:, : pixels.shape[1], : pixels.shape[2]] = (pixels.to(self._device).float() / 255 - mean) / std
        return out


def _factors(wanted: Sequence[int], given: Sequence[int]) -> np.ndarray:
    """Returns what boxes are multiplied by, from a width and height to another."""
    return np.array([wanted[0] / given[0], wanted[1] / given[1]] * 2, np.float32)


BACKBONES: Registry[type[Backbone]] = Registry("backbone", "vqa_gs.features.extract.backbones")
backbone = BACKBONES.register


def choose_weights(
    name: str,
    settings: BackboneSettings,
    installed: Callable[[], Path | None] | None = None,
    install: str | None = None,
) -> tuple[Path | None, str]:
    """Returns the file of a network's weights, None for those that are drawn or fetched, and what they are.

    Args:
        name: the network.
        settings: what it is loaded with.
        installed: finds the weights that an installed package has.
        install: how to install that package.

    Raises:
        UsageError: pretrained weights were asked for and are not to be had.
    """
    weights = settings.weights
    if weights == "random":
        return None, "random"
    if weights not in ("auto", "pretrained"):
        return Path(weights), weights
    path = installed() if installed is not None else None
    if path is not None:
        return path, "pretrained"
    if settings.allow_download:
        return None, "downloaded"
    if weights == "auto":
        return None, "random"
    mend = f"`{install}`, or give" if install is not None else "give"
    raise UsageError(
        f"no pretrained weights of {name} are installed",
        mend=f"{mend} a file with --weights, or --allow-download, or --weights random",
    )


def family_of(name: str) -> type[Backbone]:
    """Returns the family whose name or pattern fits best: the name itself, then the longest pattern."""
    fitting = [pattern for pattern in BACKBONES if fnmatchcase(name, pattern)]
    return BACKBONES[name if name in fitting else max(fitting, key=len)]


def load_backbone(name: str = "efficientnet-lite0", weights: str = "auto", **settings: Any) -> Backbone:
    """Loads a backbone; nothing is fetched unless that is allowed.

    Args:
        name: ``"efficientnet-lite0"``, any convolutional network of timm, a detector of torchvision, such as
            ``"fasterrcnn_resnet50_fpn_v2"``, whose box head then gives the features, or that of a plug-in.
        weights: see ``BackboneSettings``; ``Backbone.weights`` says what ``"auto"`` came to.
        settings: the other fields of ``BackboneSettings``.

    Raises:
        UsageError: there is no such network, or pretrained weights were asked for and are not to be had.
        DataError: the weights file is missing, damaged or of another network.
    """
    return family_of(name).load(name, BackboneSettings(weights, **settings))
