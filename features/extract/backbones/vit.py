"""timm's vision transformers: their patch tokens as a grid of features, without any prefix token.

Class tokens and registers (``num_prefix_tokens``: CLIP 1, SigLIP 0, DINOv2 1 or 5, DINOv3 5) are dropped. Where neither
side is given an image is made to fit the model's own size, its long side scaled to it and the rest padded, so that
nothing is cropped away and position embeddings are those of training. Where a side is given, images of any shape go
through, padded to whole patches, and timm resamples the position embeddings.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from vqa_gs.features.extract.backbones import Backbone, BackboneSettings, OwnRegions, backbone, choose_weights
from vqa_gs.features.extract.cells import BINS, SAMPLES, cells_of, mean_cell, own_facts, read_off
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.weights import fetching, read_state

from vqa_gs.common.errors import DataError, UsageError

_HEAD = ("head.", "head_dist.", "fc.", "text", "logit_", "mask_token")
_PADDED, _ANY = "padded to the model's own size", "any size, position embeddings resampled"


@backbone("vit_*")
@backbone("deit*")
@backbone("eva*")
@backbone("beit*")
@backbone("aimv2_*")
@backbone("flexivit_*")
@backbone("test_vit*")
class VisionTransformer(Backbone):
    """A vision transformer; tokens of chosen blocks, after the final norm, one after the other."""

    own_columns = ()
    own_kind = "patches"

    def __init__(self, model: Any, settings: BackboneSettings, *, blocks: Sequence[int], **facts: Any) -> None:
        from timm.data import resolve_model_data_config

        own = resolve_model_data_config(model)
        patch, self._fixed = _patch(model), _own_size(model) if _is_fixed(settings) else None
        side = min(_own_size(model))
        self._blocks = tuple(blocks)
        super().__init__(
            model.eval().requires_grad_(False),
            settings,
            sides=(side, side),
            mean=own["mean"],
            std=own["std"],
            multiple=patch,
            interpolation="bicubic" if own["interpolation"] == "bicubic" else "bilinear",
            **facts,
        )
        self._model = model.to(self._device)
        self._prefix = int(model.num_prefix_tokens)
        self._has_class = self._prefix > 0 and getattr(model, "cls_token", None) is not None
        self.dim = len(self._blocks) * int(model.embed_dim)
        self.facts["preprocessing"]["fit"] = _ANY if self._fixed is None else _PADDED
        self.facts |= {
            "levels": [f"blocks.{block}" for block in self._blocks],
            "pooling": f"tokens after the final norm; boxes: roi_align {BINS}x{BINS}, {SAMPLES} samples, aligned, mean",
            "patch": patch,
            "prefix_tokens_dropped": self._prefix,
        }

    @classmethod
    def load(cls, name: str, settings: BackboneSettings) -> VisionTransformer:
        """See ``Backbone.load``."""
        import timm

        if not timm.is_model(name):
            raise UsageError(f"timm has no vision transformer called {name!r}", mend="see timm.list_models('vit_*')")
        path, kind = choose_weights(name, settings)
        model = _build(name, settings, kind == "downloaded")
        if path is not None:
            _load(model, path, name)
        blocks = _chosen(name, len(model.blocks), settings.levels)
        note = f"weights of {path}" if path is not None else "weights fetched by timm"
        if kind == "random":
            note = f"random weights, seed {settings.seed}: a region's features hardly tell what is in it"
        return cls(model, settings, blocks=blocks, name=name, weights=kind, note=note)

    @classmethod
    def levels_of(cls, name: str, facts: Mapping[str, Any]) -> Sequence[int] | None:
        """See ``Backbone.levels_of``."""
        numbers = [str(level).partition(".")[2] for level in facts.get("levels") or ()]
        return [int(number) for number in numbers] if all(number.isdigit() for number in numbers) else None

    @classmethod
    def settings_of(cls, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """See ``Backbone.settings_of``; sides that are the model's own are not given."""
        settings = super().settings_of(name, facts)
        if (facts.get("preprocessing") or {}).get("fit") == _PADDED:
            settings |= {"short_side": None, "long_side": None}
        return settings

    def forward(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], boxes: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See ``Backbone.forward``."""
        return read_off([grid for grid, _ in self._grids(pixels)], pixels.shape[-1], boxes)

    def propose(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], limits: RegionLimits
    ) -> list[OwnRegions]:
        """Returns the patches that are not padding alone, and where wanted the whole image as the last region."""
        levels = self._grids(pixels)
        grid = torch.cat([level for level, _ in levels], 1)
        classes = torch.cat([token for _, token in levels], 1) if self._has_class else None
        done = []
        for number, (cells, extent) in enumerate(zip(grid, extents, strict=True)):
            whole = None
            if self.settings.whole:
                whole = mean_cell(cells, extent, self.multiple) if classes is None else classes[number]
            done.append(cells_of(cells, extent, self.multiple, self.settings.pool, whole))
        return done

    def own_facts(self, limits: RegionLimits) -> dict[str, Any]:
        """See ``Backbone.own_facts``."""
        whole = "class token" if self._has_class else "mean of the patch tokens"
        return own_facts(self.settings.pool, whole if self.settings.whole else None)

    def _grids(self, pixels: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Returns the tokens (B, C, h, w) of the chosen blocks, and of each its first prefix token (B, C)."""
        height, width = (side // self.multiple for side in pixels.shape[2:])
        found = self._model.forward_intermediates(
            pixels,
            indices=list(self._blocks),
            norm=True,
            output_fmt="NLC",
            intermediates_only=True,
            return_prefix_tokens=self._has_class,
        )
        levels = found if self._has_class else [(tokens, tokens[:, :1]) for tokens in found]
        return [
            (tokens.transpose(1, 2).reshape(len(pixels), -1, height, width), prefix[:, 0]) for tokens, prefix in levels
        ]

    def _padded(self, pixels: torch.Tensor) -> tuple[int, int]:
        return super()._padded(pixels) if self._fixed is None else self._fixed


def _is_fixed(settings: BackboneSettings) -> bool:
    return settings.short_side is None and settings.long_side is None


def _own_size(model: Any) -> tuple[int, int]:
    size = getattr(model.patch_embed, "img_size", None) or model.pretrained_cfg["input_size"][-2:]
    return int(size[0]), int(size[1])


def _patch(model: Any) -> int:
    height, width = model.patch_embed.patch_size
    if height != width:
        raise UsageError(f"patches of {height} x {width} pixels are not square", mend="choose another transformer")
    return int(height)


def _chosen(name: str, count: int, levels: Sequence[int] | None) -> list[int]:
    wanted = (-1,) if levels is None else levels
    chosen = sorted({level % count for level in wanted if -count <= level < count})
    if len(chosen) != len(wanted):
        raise UsageError(f"{name} has {count} blocks, 0 to {count - 1} or -1, -2 ..., not {list(wanted)}")
    return chosen


def _build(name: str, settings: BackboneSettings, pretrained: bool) -> Any:
    import timm

    options: dict[str, Any] = {} if _is_fixed(settings) else {"dynamic_img_size": True}
    try:
        # The random weights must depend on the seed alone, and the caller's random numbers on nothing done here.
        with torch.random.fork_rng(devices=[]), fetching(f"weights of {name}"):
            torch.manual_seed(settings.seed)
            model: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
            model.eval()
        patch = _patch(model)
        height, width = _own_size(model) if _is_fixed(settings) else (patch * 2, patch * 3)
        with torch.inference_mode():
            (tokens,) = model.forward_intermediates(
                torch.zeros(1, 3, height, width), indices=1, output_fmt="NLC", intermediates_only=True
            )
        if tokens.shape[1] != (height // patch) * (width // patch):
            raise ValueError(f"{tokens.shape[1]} tokens of an image of {width} x {height}")
        return model
    except (UsageError, DataError):
        raise
    except Exception as error:  # each family of networks refuses in its own way
        reason = " ".join(str(error).split())[:200]
        sizes = "" if _is_fixed(settings) else " of images of any size"
        raise UsageError(
            f"the network {name} cannot give patch tokens{sizes}: {reason}",
            mend="choose another transformer" if _is_fixed(settings) else "leave --short-side and --long-side out",
        ) from error


def _load(model: Any, path: Path, name: str) -> None:
    state: Any = read_state(path)
    wanted = model.state_dict()
    # What timm makes of the files of the models' authors: other names, position embeddings of another size.
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        if translate is not None and not set(wanted) <= set(state):
            state = translate(dict(state), model)
        if missing := [key for key in wanted if key not in state]:
            raise KeyError(f"{missing[0]} is missing")
        if strange := [key for key in state if key not in wanted and not key.startswith(_HEAD)]:
            raise KeyError(f"{strange[0]} is not of this network")
        model.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except Exception as error:  # what is made of another network's tensors raises nearly anything
        reason = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise DataError(
            f"the weights are not those of {name}: {' '.join(str(reason).split())[:200]}", file=path
        ) from error
