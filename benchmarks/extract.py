"""Measures what extraction costs beside the bare network on images that are decoded already.

    python benchmarks/extract.py --images $VQA_DATA/butd-10/images --repeat 4
    python benchmarks/extract.py --backbone fasterrcnn_mobilenet_v3_large_320_fpn --weights random --boxes detector

Both use the same threads. They take turns, and the ratio is the median over the rounds: of the time that passed, and
of the processor time, which is the same where no other program wants the cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.boxes import BoxSettings, load_boxes
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.extract.listing import list_images
from vqa_gs.features.extract.regions import Found, RegionLimits
from vqa_gs.features.extract.run import extract_regions

from vqa_gs.common.files import write_json


def draw(folder: Path, count: int) -> Path:
    """Writes photographs nobody took: smooth noise, 640 x 480, about as large as COCO's files."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).resize(
            (640, 480), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse).astype(np.int16) + rng.integers(-12, 13, (480, 640, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    return folder


def timed(step: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds that passed and the processor's seconds of all threads."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default=None, help="folder; drawn when left out")
    parser.add_argument("--count", type=int, default=16, help="images to draw")
    parser.add_argument("--repeat", type=int, default=1, help="use the folder's images so many times")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--boxes", default="grid")
    parser.add_argument("--regions", default="36")
    parser.add_argument("--short-side", type=int, default=None)
    parser.add_argument("--workers", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="write the figures to a file too")
    options = parser.parse_args()
    backbone = load_backbone(options.backbone, options.weights, short_side=options.short_side, device=options.device)
    source = load_boxes(options.boxes, BoxSettings(RegionLimits.parse(options.regions), backbone, options.device))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = list_images(options.images or draw(folder, options.count))
        items = [(f"{image_id}-{turn}", path, None) for turn in range(options.repeat) for image_id, path, _ in listed]
        images = [load_image(path) for _, path, _ in listed]
        inputs = [backbone.prepare(image) for image in images] * options.repeat
        sizes = [image.size for image in images] * options.repeat
        whole = [Found(np.array([[0, 0, *size]], np.float32)) for size in sizes]

        def forward(low: int) -> None:
            part = slice(low, low + options.batch)
            backbone.extract(inputs[part], sizes[part], whole[part])

        def bare() -> None:
            before = torch.get_num_threads()
            torch.set_num_threads(1)
            threads = options.workers if options.device == "cpu" else 1
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                list(pool.map(forward, range(0, len(inputs), options.batch)))
            torch.set_num_threads(before)

        def whole_way() -> None:
            extract_regions(
                items, backbone, folder / "out.h5", batch_size=options.batch, boxes=source, workers=options.workers
            )

        rounds = []
        for _ in range(options.rounds):
            rounds.append((*timed(bare), *timed(whole_way)))
        times = np.array(rounds)
        count = len(items)
        print(f"{backbone.name} on {options.device}, {options.boxes}, {options.regions} regions, {count} images")
        shape = "x".join(map(str, inputs[0].shape[1:]))
        print(f"network input {shape}, {options.workers} workers")
        for title, wall, processor in (("network alone", 0, 1), ("extraction", 2, 3)):
            print(
                f"  {title:14s}{count / np.median(times[:, wall]):8.1f} images/s"
                f" {np.median(times[:, processor]) / count * 1e3:9.1f} ms of a core an image"
            )
        print(
            f"  extraction took {np.median(times[:, 2] / times[:, 0]):.3f} of the network's time,"
            f" {np.median(times[:, 3] / times[:, 1]):.3f} of its processor time"
        )
        if options.json is not None:
            speeds = {name: count / float(np.median(times[:, at])) for at, name in ((0, "network"), (2, "extraction"))}
            write_json(options.json, {"backbone": backbone.name, "images_per_second": speeds})


if __name__ == "__main__":
    main()
