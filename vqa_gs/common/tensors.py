"""Tensors by name: whether they are those of a model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def tensor_difference(found: object, expected: Mapping[str, Tensor]) -> str | None:
    """Returns where tensors differ from the expected names and shapes, None where they do not."""
    if not isinstance(found, Mapping):
        return f"{type(found).__name__} in place of tensors"
    for name, tensor in expected.items():
        if not isinstance(found.get(name), Tensor):
            return f"{name} is missing"
        if found[name].shape != tensor.shape:
            return f"{name} is {tuple(found[name].shape)}, this run's is {tuple(tensor.shape)}"
    stray = next((name for name in found if name not in expected), None)
    return None if stray is None else f"{stray} is not this run's"
