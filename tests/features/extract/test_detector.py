from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.boxes import BoxSettings, load_boxes
from vqa_gs.features.extract.regions import RegionLimits

from vqa_gs.common.errors import DataError, UsageError

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The path of weights of a detector of 5 classes, which nobody trained."""
    from torchvision.models import get_model

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "five.pth"
    torch.save(get_model(NAME, weights=None, weights_backbone=None, num_classes=5).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def small(state):
    return load_backbone(NAME, str(state), short_side=96, long_side=128)


def noise(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_weights_of_a_file_tell_the_number_of_classes(small, state):
    assert (small.dim, small.classes, small.weights) == (1024, 5, str(state))
    facts = json.loads(small.fingerprint)
    assert (facts["backbone"], facts["weights"], facts["pooling"]) == (NAME, "file", "box head")
    assert load_backbone(NAME, "random").classes == 91
    own = load_backbone(NAME, "random")
    assert (own.short_side, own.long_side) == (320, 640)


def test_regions_are_torchvisions_own_proposals_with_their_box_heads(small):
    # An image of the network's size, so that torchvision's own scaling, which differs, does nothing to it.
    image = noise(96, 128)
    model = small._model
    seen = {}
    hooks = [
        model.rpn.register_forward_hook(lambda _, __, out: seen.update(proposals=out[0][0])),
        model.roi_heads.box_head.register_forward_hook(lambda _, __, out: seen.update(head=out)),
    ]
    model.transform.min_size, before = (96,), model.transform.min_size
    try:
        with torch.no_grad():
            model([image.float() / 255])
    finally:
        model.transform.min_size = before
        for hook in hooks:
            hook.remove()
    (found,) = small.extract([image], [(256, 192)], limits=RegionLimits(4, 9))
    assert 4 <= len(found.boxes) <= 9
    for box, row in zip(found.boxes, found.features, strict=True):
        distance = (seen["proposals"] * 2 - torch.from_numpy(box)).abs().sum(1)
        at = int(distance.argmin())
        assert distance[at] < 1e-2
        assert torch.allclose(seen["head"][at], torch.from_numpy(row), rtol=1e-3, atol=1e-4)
    assert set(found.columns["class"].tolist()) <= {1, 2, 3, 4}
    assert ((found.columns["class_score"] > 0) & (found.columns["class_score"] <= 1)).all()


def test_given_boxes_have_the_same_features_as_proposals(small):
    images = [noise(90, 130, 1), noise(130, 90, 2)]
    inputs = [small.prepare(image) for image in images]
    sizes = [(130, 90), (90, 130)]
    found = small.extract(inputs, sizes, limits=RegionLimits(6, 6))
    again = small.extract(inputs, sizes, found)
    for one, other, size in zip(found, again, sizes, strict=True):
        assert one.features.shape == (6, 1024)
        assert np.allclose(one.features, other.features, rtol=1e-2, atol=1e-3)
        assert other.columns == one.columns
        assert (one.boxes >= 0).all()
        assert (one.boxes <= [*size, *size]).all()


def test_boxes_of_the_backbone_itself_or_of_another_detector(small, state):
    own = load_boxes("detector", BoxSettings(backbone=small))
    assert own.network is small
    other = load_boxes(f"detector:{NAME}", BoxSettings(RegionLimits(3, 3), weights=str(state)))
    assert other.network is not small
    assert other.facts["weights_sha256"] == small.facts["weights_sha256"]
    from PIL import Image

    found = other(1, Image.fromarray(noise(60, 80).permute(1, 2, 0).numpy()))
    assert found.boxes.shape == (3, 4)
    assert set(found.columns) == set(other.columns)


def test_nothing_is_fetched_unasked(tmp_path):
    for name in (NAME, "resnet10t"):
        with pytest.raises(UsageError, match=rf"no pretrained weights of {name} are installed .*--allow-download"):
            load_backbone(name, "pretrained")
    with pytest.raises(UsageError, match=r"--detector-weights|a file of weights"):
        load_boxes(f"detector:{NAME}", BoxSettings())
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w\.pth: the weights are not those of fasterrcnn"):
        load_backbone(NAME, str(tmp_path / "w.pth"))
    with pytest.raises(UsageError, match=r"no detector called 'fasterrcnn_b99' \(choose one of"):
        load_backbone("fasterrcnn_b99", "random")
    with pytest.raises(UsageError, match="'resnet10t' is no detector"):
        load_boxes("detector:resnet10t", BoxSettings())
    with pytest.raises(UsageError, match="has no levels"):
        load_backbone(NAME, "random", levels=[1])


def test_downloads_that_fail_are_one_line(monkeypatch):
    import timm
    import torchvision.models

    def refuse(*_, **options):
        if options.get("pretrained") or options.get("weights"):
            raise OSError("no network\nat all")
        return create(*_, **options)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", refuse)
    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    for name in (NAME, "resnet10t"):
        with pytest.raises(DataError, match=f"weights of {name} could not be fetched: OSError: no network at all"):
            load_backbone(name, "pretrained", allow_download=True)
