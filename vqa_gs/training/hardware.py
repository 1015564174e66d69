"""Device and precision of a run."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vqa_gs.common.devices import choose_device
from vqa_gs.training.config import RunConfig


def computes_bf16(device: torch.device) -> bool:
    """Returns whether the hardware multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capability = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    return "AVX512" in capability and flags.exists() and "avx512_bf16" in flags.read_text()


def make_accelerator(config: RunConfig) -> Accelerator:
    """Returns accelerate's helper for the run's device and precision, in this process or in all of a launch.

    Raises:
        UsageError: the device is not there.
    """
    device = choose_device(config.training.device)
    # benchmarks/precision.py, on a CPU with AVX-512 BF16, one thread, bf16 / fp32: hidden 64 1.0-1.2, 128 0.6-0.8,
    # 256 0.6-0.7, 512 0.5-0.6, 1024 0.5, with and without gradient supervision, for 8 x 496 and 36 x 2048 regions
    # alike. The smallest models lose more to the conversions than they gain.
    large = device.type == "cuda" or config.model.hidden >= 128
    wanted = config.training.precision
    bf16 = wanted == "bf16" or (wanted == "auto" and large and computes_bf16(device))
    # Accelerate keeps the first run's device and precision for the whole process, and refuses a second run in it
    # that has others. Where several processes were launched, their connection has to stay.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision="bf16" if bf16 else "no", cpu=device.type == "cpu")
