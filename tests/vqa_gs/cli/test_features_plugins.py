"""A backbone, a source of boxes and a feature format that are files of the user's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from vqa_gs.features.check import check as check_store
from vqa_gs.features.store import RegionStore

MAIN = "import json, sys; from vqa_gs.cli import main; sys.exit(max(map(main, json.loads(sys.argv[1]))))"

# A transformer in miniature: patches of 14 x 14 pixels that attend to each other.
BACKBONE = """
import torch
from torchvision.ops import roi_align

from vqa_gs.features.extract.backbones import Backbone, backbone
from vqa_gs.features.extract.boxes import NetworkRegions, box_source

PATCH = 14


@backbone("my-backbone")
class Patches(Backbone):
    own_columns = ()
    dim = 8

    def __init__(self, model, settings, **facts):
        super().__init__(model, settings, **facts)
        self.model = model.to(settings.device)

    @classmethod
    def load(cls, name, settings):
        torch.manual_seed(settings.seed)
        attention = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        model = torch.nn.ModuleList([torch.nn.Conv2d(3, 8, PATCH, PATCH), attention]).eval()
        grey = (0.5, 0.5, 0.5)
        facts = {"weights": "random", "note": "drawn", "sides": (56, 84), "mean": grey, "std": grey}
        return cls(model, settings, name=name, multiple=PATCH, **facts)

    def grid(self, pixels):
        patches = self.model[0](pixels)
        return self.model[1](patches.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(patches.shape)

    def forward(self, pixels, extents, boxes):
        return roi_align(self.grid(pixels), list(boxes), 1, 1 / PATCH, 1, aligned=True).flatten(1)

    def propose(self, pixels, extents, limits):
        own = []
        for grid, (height, width) in zip(self.grid(pixels), extents):
            rows, columns = -(-height // PATCH), -(-width // PATCH)
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            boxes = torch.stack([x, y, x + 1, y + 1], -1).reshape(-1, 4) * PATCH
            own.append((boxes, grid[:, :rows, :columns].flatten(1).T, {}))
        return own


@box_source("my-patches")
def make(argument, settings):
    return NetworkRegions("my-patches", settings.backbone, settings.limits)
"""

# A line an image: id, width, height, numbers a region; then the boxes and the features.
FORMAT = """
import hashlib

import numpy as np

from vqa_gs.common.errors import DataError
from vqa_gs.features.formats import FORMATS
from vqa_gs.features.reading.source import ImageRegions, RegionSource


class Source(RegionSource):
    dtype, untyped_ids = np.dtype(np.float32), True

    def __init__(self, path):
        self.path, self.lines = path, path.read_text().splitlines()[1:]
        self.images, self.dim = len(self.lines), int(self.lines[0].split()[3])

    def read(self, damaged):
        for number, line in enumerate(self.lines):
            name, width, height, dim, *numbers = line.split()
            try:
                rows = np.array(numbers, np.float32).reshape(-1, 4 + int(dim))
            except ValueError as error:
                damaged(DataError(str(error), file=self.path, record=f"line {number + 2}"))
                continue
            yield ImageRegions(name, rows[:, 4:], rows[:, :4], (int(width), int(height)), f"line {number + 2}")

    def digests(self):
        return [hashlib.sha256(self.path.read_bytes()).hexdigest()]


class Lines:
    def detect(self, path):
        return path.is_file() and path.read_bytes()[:8] == b"#regions"

    def open(self, path):
        return Source(path)


FORMATS.register("lines")(Lines())
"""


@pytest.fixture
def vqa_gs(processes, tmp_path):
    """Returns a function that runs commands in a process of their own, with the plug-ins in the test's folder."""
    folder = tmp_path / "plug-ins"
    folder.mkdir()
    (folder / "patches.py").write_text(BACKBONE)
    (folder / "lines.py").write_text(FORMAT)

    def run(*commands):
        words = json.dumps([[*map(str, command)] for command in commands])
        return processes.run(words, program=MAIN, VQA_GS_PLUGINS=str(folder))

    return run


def test_a_backbone_whose_patches_are_14_pixels_wide(vqa_gs, noise_pictures, tmp_path):
    pictures = noise_pictures(["1.png", "2.png", "3.png"], 60, 61)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(pictures / "1.png")
    common = ["features", "extract", "--images", pictures, "--backbone", "my-backbone", "--weights", "random"]
    done = vqa_gs(
        [*common, "--out", tmp_path / "grid.h5", "--regions", "10"],
        [*common, "--out", tmp_path / "patches.h5", "--boxes", "my-patches", "--dtype", "float32"],
        [*common, "--out", tmp_path / "again.h5", "--boxes", f"store:{tmp_path / 'patches.h5'}", "--dtype", "float32"],
    )
    assert done.returncode == 0, done.stderr
    assert "my-backbone on" in done.stderr
    grid, patches, again = (RegionStore(tmp_path / f"{name}.h5") for name in ("grid", "patches", "again"))
    assert (grid.dim, grid.counts([1, 2, 3]).tolist()) == (8, [10, 10, 10])
    facts = json.loads(patches.fingerprint)
    assert (facts["backbone"], facts["preprocessing"]["padding"]) == ("my-backbone", 14)
    assert (facts["boxes"]["source"], facts["boxes"]["my-patches"]) == ("my-patches", "my-backbone")
    # 60 x 80 is scaled to 56 x 75 and padded to 56 x 84.
    assert patches.counts([1]).tolist() == [4 * 6]
    assert np.allclose(patches[1].boxes[0], [0, 0, 80 / 75 * 14, 15])
    assert (patches[1].boxes[:, 2:] <= [80, 60]).all()
    # Read off at its own box, a patch is what it was.
    inner = (patches[2].boxes[:, 2:] < 59).all(1)
    assert inner.sum() == 9
    assert np.allclose(patches[2].features[inner], again[2].features[inner], atol=1e-4)


def test_a_format_is_recognised_and_converted(vqa_gs, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("#regions\n7 20 10 2 0 0 5 5 1 2 1 1 9 9 3 4\n8 20 10 2 0 0 x\n9 30 10 2 0 0 30 10 5 6\n")
    words = ["features", "convert", file, "--out"]
    done = vqa_gs(
        [*words, tmp_path / "out.h5", "--on-error", "skip"], [*words, tmp_path / "no.h5", "--format", "lines"]
    )
    assert done.returncode == 2
    assert f"left out: {file}: line 3: could not convert" in done.stderr
    assert f"vqa-gs: {file}: line 3: could not convert" in done.stderr
    assert not (tmp_path / "no.h5").exists()
    store = RegionStore(tmp_path / "out.h5")
    assert check_store(store.path).problems == []
    assert store.image_ids == (7, 9)
    assert store[7].features.tolist() == [[1, 2], [3, 4]]
    assert store[9].size.tolist() == [30, 10]
    assert json.loads(store.fingerprint)["sources"][0]["format"] == "lines"
