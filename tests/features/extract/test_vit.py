"""Vision transformers, held token by token against timm's own forward pass; weights are random."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from vqa_gs.features.extract.again import extractor_of
from vqa_gs.features.extract.backbones import load_backbone
from vqa_gs.features.extract.batch_size import largest_batch
from vqa_gs.features.extract.boxes import BoxSettings, load_boxes
from vqa_gs.features.extract.run import fingerprint_of

from vqa_gs.common.errors import DataError, UsageError

from .features_of import features_of


def picture(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def timm_model(name, seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return timm.create_model(name, num_classes=0, **options).eval()


def normalised(image, model, pad=None):
    """Returns an image as timm's model takes it, its pixels unscaled, padded with zeros at the right and below."""
    config = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - mean) / std
    height, width = pad or pixels.shape[1:]
    return torch.nn.functional.pad(pixels, (0, width - pixels.shape[2], 0, height - pixels.shape[1]))[None]


def own(backbone, image):
    """Returns the regions that the backbone makes itself."""
    return backbone.extract([backbone.prepare(image)], [image.size])[0]


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit_relpos"])
def test_tokens_are_timms_without_any_prefix(name):
    backbone, model = load_backbone(name, "random"), timm_model(name)
    image = picture(160, 160)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(image, model))[0, model.num_prefix_tokens :]
    found = own(backbone, image)
    assert found.features.shape == (100, model.embed_dim) == (100, backbone.dim)
    np.testing.assert_allclose(found.features, tokens.numpy(), rtol=1e-4, atol=1e-5)
    expected = [(16 * x, 16 * y, 16 * x + 16, 16 * y + 16) for y in range(10) for x in range(10)]
    assert found.boxes.tolist() == [list(map(float, box)) for box in expected]
    assert backbone.facts["prefix_tokens_dropped"] == model.num_prefix_tokens


def test_nothing_of_a_long_picture_is_cut_away():
    backbone, model = load_backbone("test_vit", "random"), timm_model("test_vit")
    image = picture(160, 72)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(image, model, pad=(160, 160)))[0, 1:].reshape(10, 10, -1)[:5]
    found = own(backbone, image)
    np.testing.assert_allclose(found.features, tokens.reshape(50, -1).numpy(), rtol=1e-4, atol=1e-5)
    assert found.boxes[:, 2:].max(0).tolist() == [160, 72]
    assert found.boxes[-1].tolist() == [144, 64, 160, 72]
    twice = image.resize((320, 144))
    assert own(backbone, twice).boxes[-1].tolist() == [288, 128, 320, 144]


def test_any_size_resamples_position_embeddings_as_timm_does():
    backbone = load_backbone("test_vit", "random", short_side=48, long_side=96)
    model = timm_model("test_vit", dynamic_img_size=True)
    image = picture(64, 48)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(image, model))[0, 1:]
    found = own(backbone, image)
    assert found.features.shape == (12, 64)
    np.testing.assert_allclose(found.features, tokens.numpy(), rtol=1e-4, atol=1e-5)
    assert "resampled" in backbone.facts["preprocessing"]["fit"]


def test_several_blocks():
    backbone = load_backbone("test_vit", "random", levels=[-1, 2])
    model, image = timm_model("test_vit"), picture(160, 160)
    with torch.inference_mode():
        x = model.norm_pre(model._pos_embed(model.patch_embed(normalised(image, model))))
        states = []
        for block in model.blocks:
            x = block(x)
            states.append(model.norm(x)[0, 1:])
    found = own(backbone, image).features
    np.testing.assert_allclose(found, torch.cat([states[2], states[5]], 1).numpy(), rtol=1e-4, atol=1e-5)
    assert backbone.facts["levels"] == ["blocks.2", "blocks.5"]
    with pytest.raises(UsageError, match="has 6 blocks, 0 to 5"):
        load_backbone("test_vit", "random", levels=[6])


@pytest.mark.parametrize(("name", "source"), [("test_vit", "class token"), ("test_vit2", "mean of the patch tokens")])
def test_pooling_and_the_whole_image(name, source):
    backbone = load_backbone(name, "random", pool=(5, 2), whole=True)
    model, image = timm_model(name), picture(160, 160)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(image, model))[0]
    patches = tokens[1:].reshape(10, 10, -1)
    cells = patches.reshape(5, 2, 2, 5, -1).mean((1, 3)).reshape(10, -1)
    whole = tokens[0] if source == "class token" else patches.mean((0, 1))
    found = own(backbone, image)
    np.testing.assert_allclose(found.features, torch.cat([cells, whole[None]]).numpy(), rtol=1e-4, atol=1e-5)
    assert found.boxes[1].tolist() == [80, 0, 160, 32]
    assert found.boxes[-1].tolist() == [0, 0, 160, 160]
    facts = load_boxes("patches", BoxSettings(backbone=backbone)).facts
    assert (facts["pool"], facts["whole_image"], facts["order"]) == ([5, 2], source, "row by row")


def test_boxes_are_read_off_the_tokens():
    backbone, image = load_backbone("test_vit", "random"), picture(160, 160)
    grid = own(backbone, image).features.reshape(10, 10, -1)
    (found,) = features_of(backbone, [image], [[[16, 32, 32, 48], [0, 0, 160, 160]]])
    from torchvision.ops import roi_align

    level = torch.from_numpy(grid.transpose(2, 0, 1).copy())[None]
    boxes = [torch.tensor([[16.0, 32, 32, 48], [0, 0, 160, 160]])]
    expected = roi_align(level, boxes, 3, 1 / 16, sampling_ratio=2, aligned=True).mean((2, 3))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_weights_of_a_file_and_what_they_may_not_be(tmp_path):
    from safetensors.torch import save_file

    model = timm.create_model("test_vit", num_classes=0).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    torch.save({**timm.create_model("test_vit", num_classes=7).state_dict(), **model.state_dict()}, tmp_path / "w.pth")
    image = picture(160, 160)
    with torch.inference_mode():
        tokens = model.forward_features(normalised(image, model))[0, 1:]
    hashes = set()
    for name in ("w.safetensors", "w.pth"):
        backbone = load_backbone("test_vit", str(tmp_path / name))
        np.testing.assert_allclose(own(backbone, image).features, tokens.numpy(), rtol=1e-4, atol=1e-5)
        hashes.add(backbone.facts["weights_sha256"])
    assert len(hashes) == 1
    save_file(timm.create_model("test_vit2", num_classes=0).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(
        DataError, match=r"other\.safetensors: the weights are not those of test_vit: cls_token is miss"
    ):
        load_backbone("test_vit", str(tmp_path / "other.safetensors"))
    with pytest.raises(UsageError, match="no pretrained weights of test_vit are installed"):
        load_backbone("test_vit", "pretrained")


def test_what_cannot_be_is_refused_in_a_line():
    with pytest.raises(UsageError, match="timm has no vision transformer called 'vit_none'"):
        load_backbone("vit_none", "random")
    with pytest.raises(UsageError, match="leave --short-side and --long-side out"):
        load_backbone("test_vit_relpos", "random", short_side=64)
    small = load_backbone("efficientnet-lite0", "random", short_side=32)
    for spec, backbone in (("patches", small), ("grid-native", load_backbone("test_vit", "random"))):
        with pytest.raises(UsageError, match=f"--boxes {spec}: the backbone has none"):
            load_boxes(spec, BoxSettings(backbone=backbone))
    with pytest.raises(UsageError, match="is no detector"):
        load_boxes("detector:test_vit", BoxSettings())


def test_cells_of_a_convolutional_network():
    backbone = load_backbone("efficientnet-lite0", "random", short_side=64, levels=[-1], pool=None, whole=True)
    image = picture(128, 80)
    found = own(backbone, image)
    level = backbone._model(backbone._normalized([backbone.prepare(image)]))[-1][0]
    # 64 x 102 pixels, padded to 64 x 128: 2 x 4 cells of 32 pixels, all of which show some of the image.
    assert level.shape[1:] == (2, 4)
    np.testing.assert_allclose(found.features[:-1], level.flatten(1).T.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.features[-1], level.mean((1, 2)).numpy(), rtol=1e-4, atol=1e-5)
    assert found.boxes[-1].tolist() == [0, 0, 128, 80]
    assert np.allclose(found.boxes[-2], [3 * 32 * 128 / 102, 40, 128, 80])
    several = load_backbone("efficientnet-lite0", "random", short_side=64, levels=[-2, -1])
    assert own(several, image).features.shape == (8, several.dim)


def test_a_picture_is_described_again_as_the_store_says():
    for name, options in (
        ("test_vit", {"pool": (3, 3), "whole": True, "levels": [1, 5]}),
        ("test_vit", {"short_side": 48, "long_side": 64}),
        ("efficientnet-lite0", {"short_side": 64, "levels": [-1], "whole": True}),
    ):
        backbone = load_backbone(name, "random", **options)
        source = load_boxes(backbone.own_kind, BoxSettings(backbone=backbone))
        fingerprint = fingerprint_of(backbone, source)
        image = picture(90, 60)
        again = extractor_of(fingerprint)
        assert json.loads(fingerprint_of(again.backbone, again.source)) == json.loads(fingerprint)
        expected = own(backbone, image)
        assert (again.describe(image).features == expected.features.astype(np.float16)).all()
        assert (again.describe(image).boxes == expected.boxes).all()


def test_the_largest_batch_that_fits():
    class Small:
        device, short_side, long_side = "gpu", 4, 6

        def extract(self, inputs, sizes, found=None):
            if len(inputs) > self.fits:
                raise torch.OutOfMemoryError("full")

    network = Small()
    for fits, expected in ((1, 1), (5, 4), (8, 8), (5000, 1024)):
        network.fits = fits
        assert largest_batch(network, None) == expected
    network.fits = 0
    with pytest.raises(UsageError, match="not even one image fits"):
        largest_batch(network, None)
    network.device = "cpu"
    assert largest_batch(network, None) == 16
