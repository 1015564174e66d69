"""What a region store holds, as a dictionary and as text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from vqa_gs.features.store import RegionStore

from vqa_gs.common.files import StrPath

_BAR = 40
_MOST_ROWS = 20


def describe(path: StrPath) -> dict[str, Any]:
    """Returns what the index of a region store tells; features are not read.

    Args:
        path: the store.

    Returns:
        ``path``, ``bytes``, ``images``, ``regions``, ``dim``, ``dtype``, ``id_kind`` ("int" or "str"),
        ``regions_per_image`` (number of regions -> number of images, rising), ``regions_min``,
        ``regions_max``, ``regions_mean``, ``layout`` ("contiguous" or "chunked"), ``columns`` (names),
        ``fingerprint``, ``content_hash``; ready for JSON.

    Raises:
        DataError: no readable region store.
    """
    with RegionStore(path) as store:
        counts = store.counts(store.image_ids)
        values, images = np.unique(counts, return_counts=True)
        return {
            "path": str(path),
            "bytes": Path(path).stat().st_size,
            "images": len(store),
            "regions": store.regions,
            "dim": store.dim,
            "dtype": store.dtype.name,
            "id_kind": "str" if isinstance(store.image_ids[0], str) else "int",
            "regions_per_image": dict(zip(values.tolist(), images.tolist(), strict=True)),
            "regions_min": int(counts.min()),
            "regions_max": int(counts.max()),
            "regions_mean": float(counts.mean()),
            "layout": "contiguous" if store.is_contiguous else "chunked",
            "columns": list(store.columns),
            "fingerprint": store.fingerprint,
            "content_hash": store.content_hash,
        }


def render(description: dict[str, Any], width: int = 100) -> str:
    """Returns a description as plain text with a histogram of regions an image.

    Args:
        description: what ``describe`` returned.
        width: columns.
    """
    from rich.console import Console
    from rich.table import Table

    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text in (
        ("store", description["path"]),
        ("size", _bytes(description["bytes"])),
        ("images", f"{description['images']:,} ({description['id_kind']} ids)"),
        (
            "regions",
            f"{description['regions']:,} ({description['regions_min']} to {description['regions_max']} an"
            f" image, {description['regions_mean']:.1f} on average)",
        ),
        ("features", f"{description['dim']} x {description['dtype']}, {description['layout']}"),
        ("of each region", ", ".join(["box", *description["columns"]])),
        ("fingerprint", description["fingerprint"]),
        ("content", description["content_hash"]),
    ):
        facts.add_row(label, _one_line(str(text)))
    bars = Table(show_header=True, box=None, pad_edge=False)
    bars.add_column("regions", justify="right")
    bars.add_column("images", justify="right")
    bars.add_column("")
    rows = binned(description["regions_per_image"])
    most = max(images for _, images in rows)
    for label, images in rows:
        bars.add_row(label, f"{images:,}", "#" * max(1, round(_BAR * images / most)))
    # Markup and colours are off: ids and fingerprints are data, and a "[" in them is a "[".
    target = io.StringIO()
    console = Console(file=target, width=width, color_system=None, markup=False, highlight=False, emoji=False)
    console.print(facts)
    console.print()
    console.print(bars)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def binned(histogram: dict[int, int]) -> list[tuple[str, int]]:
    """Returns a histogram of regions an image as at most about twenty rows of a label and a number of images."""
    low, high = min(histogram), max(histogram)
    step = -(-(high - low + 1) // _MOST_ROWS)
    if step == 1:
        return [(str(regions), images) for regions, images in sorted(histogram.items())]
    rows = []
    for start in range(low, high + 1, step):
        images = sum(histogram.get(regions, 0) for regions in range(start, start + step))
        if images:
            rows.append((f"{start}-{min(start + step - 1, high)}", images))
    return rows


def _bytes(number: int) -> str:
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} TB"
