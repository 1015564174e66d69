"""Devices by name."""

from __future__ import annotations

import re

import torch

from vqa_gs.common.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Returns the device that ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:n`` names.

    Raises:
        UsageError: it is no such name, or the device is not there.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UsageError(f"there is no device {name!r}", mend="choose auto, cpu, cuda or cuda:0")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= there:
        what = f"only {there} CUDA devices are" if there else "no CUDA device is"
        raise UsageError(f"the device is {name}, but {what} there", mend="use auto or cpu")
    return device
