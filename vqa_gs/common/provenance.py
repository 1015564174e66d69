"""What a result was made with: versions, machine, git revision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vqa_gs import __version__

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "h5py",
    "numpy",
    "scipy",
    "accelerate",
    "jsonargparse",
    "msgspec",
    "safetensors",
)


def git_revision() -> str | None:
    """Returns the revision of the checkout this package runs from, with ``+changes`` if it was edited."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # An installed copy may sit inside another project's checkout: that project's revision would be a lie.
        if not git("ls-files", Path(__file__).name):
            return None
        revision = git("rev-parse", "HEAD")
        return revision + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def environment() -> dict[str, Any]:
    """Returns command line, folder, versions, platform and git revision, ready for JSON."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "argv": sys.argv,
        "folder": os.getcwd(),
        "vqa_gs": __version__,
        "git_revision": git_revision(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "packages": packages,
    }
