"""Torch's own files from strangers: nothing but tensors and plain containers, no larger than what is stored of them."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_REBUILD = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
# Bytes of pickles alone, tensors left out, that are looked through opcode by opcode.
_LARGEST = 64 << 20


def load_tensors(file: Path, device: torch.device | str) -> Any:
    """Returns what ``torch.save`` wrote, of any version.

    ``weights_only`` lets nothing execute, but lets calls (of ``bytearray``, of codecs) build as much as they like; so
    the names that a file calls are looked at first.

    Raises:
        Exception: it is damaged, or calls anything but what tensors are made by; of nearly any kind.
    """
    import torch

    _look_through(file)
    found = torch.load(file, map_location=device, weights_only=True)
    for tensor in _tensors(found):
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} repeats what is stored")
    return found


def _look_through(file: Path) -> None:
    if not zipfile.is_zipfile(file):
        with open(file, "rb") as stream:
            for _ in range(5):  # magic number, protocol, system, object, keys of the storages
                _refuse_calls(stream)
        return
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError("its parts are compressed, which torch never does")
            if entry.filename.endswith(".pkl"):
                if entry.file_size > _LARGEST:
                    raise ValueError("its containers alone are far larger than those of models")
                with archive.open(entry) as stream:
                    _refuse_calls(stream)


def _refuse_calls(stream: IO[bytes]) -> None:
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
            raise ValueError(f"the opcode {opcode.name}, which torch does not write")
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            if not (
                (module == "torch._utils" and name in _REBUILD)
                or (module == "torch" and name.endswith("Storage"))
                or (module, name) == ("collections", "OrderedDict")
            ):
                raise ValueError(f"the name {module}.{name}, which is no tensor's")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tensors(inner)
