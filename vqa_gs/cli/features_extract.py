"""`vqa-gs features extract | merge`: region stores from pixels, in one piece or in shards."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vqa_gs.cli.features_cluster import extract_on_slurm
from vqa_gs.cli.features_convert import IDS_HELP, images_of
from vqa_gs.cli.on_cluster import add_cluster_options, cluster_settings
from vqa_gs.cli.parsing import STATE, Parser, new_parser, progress_bar, require_count
from vqa_gs.common.errors import UsageError
from vqa_gs.common.launcher import end_with_launcher

_LINE_EVERY = 30.0
_WINDOW = 60.0
_SHOWN = 20


def extract(words: Sequence[str]) -> None:
    """Makes a region store from image files."""
    given = _extract_parser().parse_args(list(words))
    asked = cluster_settings(given)
    if (given.on == "slurm") != (given.shards is not None):
        raise UsageError("--on slurm and --shards go together", mend="say in how many shards, as --shards 16")
    batch_size = _batch_size(given)
    if given.on == "slurm":
        assert batch_size is not None
        extract_on_slurm(given, batch_size, asked)
        return

    from vqa_gs.features.extract.backbones import load_backbone
    from vqa_gs.features.extract.batch_size import interrupted_batch, largest_batch
    from vqa_gs.features.extract.boxes import BoxSettings, load_boxes
    from vqa_gs.features.extract.listing import list_images
    from vqa_gs.features.extract.regions import RegionLimits
    from vqa_gs.features.extract.run import extract_regions, fingerprint_of, is_finished
    from vqa_gs.features.extract.shards import Shard, gather, launched
    from vqa_gs.features.naming import Naming, missing_of

    if given.workers is not None:
        require_count("--workers", given.workers, most=1024)
    limits = RegionLimits.parse(given.regions)
    started = launched(os.environ) if given.shard is None else None
    shard = started[0] if started else Shard.parse(given.shard or "1/1")
    device = _device(given.device, started[1] if started else 0)
    naming = Naming(given.ids)
    items = list_images(given.images, given.ids, naming)
    missing_of(images_of(given["for"]), [image_id for image_id, _, _ in items], given.ids)
    levels = given.levels or ([-1] if given.boxes == "grid-native" else None)
    backbone = load_backbone(
        given.backbone,
        given.weights,
        seed=given.seed,
        short_side=given.short_side,
        long_side=given.long_side,
        levels=levels,
        device=device,
        allow_download=given.allow_download,
        pool=_pool(given.pool),
        whole=given.whole_image,
    )
    settings = BoxSettings(limits, backbone, device, given.detector_weights, given.edge_model, given.allow_download)
    boxes = load_boxes(given.boxes, settings)
    if (given.pool or given.whole_image) and not given.boxes.startswith(("patches", "grid-native")):
        raise UsageError("--pool and --whole-image are of a network's own cells", mend="add --boxes patches")
    if batch_size is None:
        batch_size = interrupted_batch(given.out) or largest_batch(backbone, boxes)
        print(f"batches of {batch_size}", file=sys.stderr)
    fingerprint = fingerprint_of(backbone, boxes)
    out = shard.path(given.out) if started else given.out
    if started:
        end_with_launcher()
    mine = shard.part(items, batch_size)
    if is_finished(given.out if started else out, items if started else mine, fingerprint, given.dtype):
        print(f"{given.out}: is finished already; remove it to make it anew")
        return
    name = f"extracting {shard.number}/{shard.of}" if shard.of > 1 else "extracting"
    if mine and not is_finished(out, mine, fingerprint, given.dtype):
        if shard.number == 1:
            print("\n".join(naming.lines()), file=sys.stderr)
        print(f"{backbone.name} on {device}, {backbone.note}", file=sys.stderr)
        with rate_bar(name) as report:
            summary = extract_regions(
                mine,
                backbone,
                out,
                given.dtype,
                batch_size,
                report,
                boxes=boxes,
                workers=given.workers or _workers(device),
                on_error=given.on_error,
            )
        _tell(summary)
    elif not mine and not started:
        raise UsageError(f"shard {given.shard} of {len(items)} images is empty", mend="use fewer shards")
    if started and shard.number == 1:
        with progress_bar("merging") as report:
            whole = gather(
                items,
                given.out,
                shard.of,
                fingerprint=fingerprint,
                dtype=given.dtype,
                batch_size=batch_size,
                progress=report,
            )
        print(f"{given.out}: {whole.images:,} images, {whole.regions:,} regions")


def merge(words: Sequence[str]) -> None:
    """Puts several region stores together."""
    from vqa_gs.features.merge import merge as merge_stores

    parser = new_parser(
        "features merge",
        "Put region stores together: the shards of an extraction, or several splits.",
        "vqa-gs features merge part1.h5 part2.h5 --out regions.h5",
    )
    parser.add_argument("stores", nargs="+", type=str, help="the stores; the result has their images in this order")
    parser.add_argument("--out", type=str, required=True, help="the store to write")
    parser.add_argument(
        "--allow-other-features", action="store_true", help="accept features that were made in different ways"
    )
    given = parser.parse_args(list(words))
    with progress_bar("merging") as report:
        summary = merge_stores(given.stores, given.out, report, allow_other_features=given.allow_other_features)
    print(f"{given.out}: {summary.images:,} images, {summary.regions:,} regions")


def _extract_parser() -> Parser:
    parser = new_parser(
        "features extract",
        "Make a region store from image files. The same command goes on where it was stopped; under torchrun each"
        " process takes a part.",
        "vqa-gs features extract --images photos --boxes grid --regions 36 --out regions.h5",
        common=(),
    )
    add = parser.add_argument
    add("--images", type=str, required=True, help="a folder, or a text file with a path a line")
    add("--out", type=str, required=True, help="the store to write")
    add(
        "--backbone",
        type=str,
        default="efficientnet-lite0",
        help="efficientnet-lite0, a convolutional network or vision transformer of timm, or a detector of torchvision",
    )
    add("--weights", type=str, default="pretrained", help="a .safetensors or torch file, pretrained, or random")
    add("--boxes", type=str, default="grid", help=f"where boxes come from: {_kinds()}")
    add("--regions", type=str, default="36", help="regions an image: 36, or 10-100")
    add("--detector-weights", type=str, default="pretrained", help="of a detector beside the backbone")
    add("--edge-model", type=str, default=None, help="model of structured edges, for edge-boxes")
    add(
        "--levels",
        type=int,
        nargs="+",
        default=None,
        help="levels or blocks, as -2 -1 (default: the last four; of transformers and grid-native the last)",
    )
    add("--pool", type=str, default=None, help="cells of patches averaged, as 7x7")
    add("--whole-image", action="store_true", help="patches: add the image as a region")
    add("--short-side", type=int, default=None, help="pixels images are scaled to (default: 600, or the network's own)")
    add("--long-side", type=int, default=None, help="but no longer than this (default: 1000, or the network's own)")
    add(
        "--ids",
        type=str,
        default="auto",
        help=IDS_HELP,
    )
    add("--for", nargs="+", type=str, default=[], help="questions JSON whose images have to be there")
    add("--dtype", choices=["float16", "float32"], default="float16", help="how features are stored")
    add("--on-error", choices=["skip", "stop"], default="skip", help="at an image that cannot be read")
    add("--shard", type=str, default=None, help="one part only, as 1/8; see `features merge`")
    add("--shards", type=int, default=None, help="with slurm: how many; merged after")
    add("--device", type=str, default="auto", help="cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    add(
        "--batch-size",
        "--batch",
        type=str,
        default="16",
        help="images at once, and the step in which finished work is kept; auto: as many as fit the GPU",
    )
    add("--workers", type=int, default=None, help="threads (default: one a core, or 16)")
    add("--seed", type=int, default=0, help="of random weights")
    add("--allow-download", action="store_true", help="let timm and torchvision fetch weights")
    add_cluster_options(parser, "one shard")
    parser.titled("boxes", "boxes", "regions", "pool", "whole_image", "detector_weights", "edge_model")
    parser.titled("features", "backbone", "weights", "levels", "short_side", "long_side", "dtype", "seed")
    return parser


def _kinds() -> str:
    return (
        "grid; patches (of a vision transformer); grid-native (cells of the last stage); selective-search;"
        " edge-boxes; detector[:NAME of torchvision]; coco:INSTANCES.json;"
        " store:OTHER.h5; table:BOXES.json or .csv"
    )


def _batch_size(given: Any) -> int | None:
    """Returns the batch size; None: the largest that fits."""
    text = given.batch_size
    if text == "auto":
        if given.shard is not None or given.shards is not None or "LOCAL_RANK" in os.environ:
            raise UsageError("--batch-size auto may differ between shards", mend="give all of them the same number")
        return None
    if not text.isdigit() or len(text) > 7:
        raise UsageError(f"--batch-size must be a number or auto, not {text[:20]!r}")
    require_count("--batch-size", int(text))
    return int(text)


def _pool(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,2})", text)
    if match is None:
        raise UsageError(f"--pool is rows x columns, not {text[:20]!r}", mend="write it as 7x7")
    return int(match[1]), int(match[2])


def _device(asked: str, local_rank: int) -> str:
    import torch

    if asked != "auto":
        try:
            torch.empty(0, device=asked)
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UsageError(f"there is no device {asked!r}: {reason}", mend="give --device cpu") from error
        return asked
    return f"cuda:{local_rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"


def _workers(device: str) -> int:
    """Returns how many threads this process may well use: those of torch, or its part of the cores beside a GPU."""
    import torch

    if device == "cpu":
        return torch.get_num_threads()
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores // (int(processes) if processes.isdigit() else 1)))


def _tell(summary: Any) -> None:
    for text in summary.skipped[:_SHOWN]:
        print(f"left out: {text}", file=sys.stderr)
    if len(summary.skipped) > _SHOWN:
        print(f"left out: {len(summary.skipped) - _SHOWN:,} more", file=sys.stderr)
    resumed = f", {summary.resumed:,} of them done before" if summary.resumed else ""
    print(
        f"{summary.out}: {summary.images:,} images, {summary.regions:,} regions of {summary.dim} x"
        f" {summary.dtype}{resumed}"
    )
    if summary.skipped:
        print(f"{len(summary.skipped):,} images were left out")


@contextmanager
def rate_bar(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Shows images done, images a second and the time left: as a bar, or as lines where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if STATE.quiet:
        yield lambda done, total: None
        return
    console = Console(stderr=True)
    begun = time.monotonic()
    # The first line comes with the first image.
    last = begun - _LINE_EVERY
    # Over the last minute: what an earlier call had done comes in a moment and is soon forgotten.
    marks = deque([(begun, 0)])

    def rate(done: int) -> float:
        now = time.monotonic()
        marks.append((now, done))
        while len(marks) > 2 and marks[1][0] < now - _WINDOW:
            marks.popleft()
        return (done - marks[0][1]) / max(1e-9, now - marks[0][0])

    if not console.is_terminal:

        def line(done: int, total: int | None) -> None:
            nonlocal last
            speed = rate(done)
            if time.monotonic() - last >= _LINE_EVERY or done == total:
                last = time.monotonic()
                left = f", {(total - done) / speed:,.0f} s left" if total and speed and done < total else ""
                print(f"{text}: {done:,} of {total or '?':,} images, {speed:.1f} images/s{left}", file=sys.stderr)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:.1f} images/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(text, total=None, speed=0.0)
        yield lambda done, total: bars.update(task, completed=done, total=total, speed=rate(done))
