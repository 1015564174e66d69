"""timm's convolutional networks: levels of the feature pyramid read off over each box."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from vqa_gs.features.extract.backbones import Backbone, BackboneSettings, OwnRegions, backbone, choose_weights
from vqa_gs.features.extract.cells import BINS, SAMPLES, cells_of, mean_cell, own_facts, read_off
from vqa_gs.features.extract.regions import RegionLimits
from vqa_gs.features.extract.weights import LITE0_INSTALL, fetching, find_lite0_weights, read_state, rename_lite0

from vqa_gs.common.errors import DataError, UsageError

_LITE0 = "tf_efficientnet_lite0"
_ALIASES = {"efficientnet-lite0": _LITE0}
# Parts of a classifier, of no use here.
_HEAD = ("conv_head.", "bn2.", "classifier.", "fc.", "head.")
_LEVELS = (-4, -3, -2, -1)
_SIDES = (600, 1000)
# The largest stride of the usual networks.
_MULTIPLE = 32


@backbone("*")
class ConvolutionalBackbone(Backbone):
    """A convolutional network some of whose levels are read off over each box.

    Each level is RoI-aligned 3 x 3 over a box and averaged; the levels' averages are put one after the other. Its own
    regions are the cells of the last level.
    """

    own_columns = ()
    own_kind = "grid-native"

    def __init__(self, model: Any, settings: BackboneSettings, **facts: Any) -> None:
        own = model.default_cfg if hasattr(model, "default_cfg") else model.pretrained_cfg
        model = model.eval().requires_grad_(False)
        super().__init__(model, settings, sides=_SIDES, mean=own["mean"], std=own["std"], multiple=_MULTIPLE, **facts)
        self._model = folded(model).to(self._device, memory_format=torch.channels_last)
        self.dim = int(sum(model.feature_info.channels()))
        self.facts |= {
            "levels": model.feature_info.module_name(),
            "pooling": f"roi_align {BINS}x{BINS}, {SAMPLES} samples, aligned, mean",
        }

    @classmethod
    def load(cls, name: str, settings: BackboneSettings) -> ConvolutionalBackbone:
        """See ``Backbone.load``; the default, and every name that is no other family's."""
        import timm

        name = _ALIASES.get(name, name)
        if not timm.is_model(name):
            raise UsageError(
                f"neither timm nor torchvision's detectors have a network called {name!r}",
                mend="`efficientnet-lite0` is the default",
            )
        installed, install = (find_lite0_weights, LITE0_INSTALL) if name == _LITE0 else (None, None)
        path, kind = choose_weights(name, settings, installed, install)
        model = _build(name, settings, kind == "downloaded")
        if path is not None:
            _load(model, path, name)
            note = f"weights of {path}"
        elif kind == "downloaded":
            note = "weights fetched by timm"
        else:
            note = f"random weights, seed {settings.seed}: a region's features hardly tell what is in it"
            if name == _LITE0:
                note += f"; for pretrained ones `{LITE0_INSTALL}`"
        return cls(model, settings, name=name, weights=kind, note=note)

    @classmethod
    def levels_of(cls, name: str, facts: Mapping[str, Any]) -> Sequence[int] | None:
        """See ``Backbone.levels_of``; facts name levels by their modules."""
        import timm

        with torch.device("meta"):
            model: Any = timm.create_model(_ALIASES.get(name, name), features_only=True)
        names = model.feature_info.module_name()
        wanted = facts.get("levels") or ()
        return [names.index(level) for level in wanted] if set(wanted) <= set(names) else None

    def forward(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], boxes: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See ``Backbone.forward``."""
        return read_off(self._model(pixels), pixels.shape[-1], boxes)

    def propose(
        self, pixels: torch.Tensor, extents: Sequence[tuple[int, int]], limits: RegionLimits
    ) -> list[OwnRegions]:
        """Returns every cell of the last level that lies in the image; earlier levels are averaged over it.

        Grid features as Jiang et al., In Defense of Grid Features for Visual Question Answering, 2020.
        """
        levels = self._model(pixels)
        rows, columns = levels[-1].shape[-2:]
        grids = [torch.nn.functional.adaptive_avg_pool2d(level, (rows, columns)) for level in levels[:-1]]
        grid = torch.cat([*grids, levels[-1]], 1)
        stride = pixels.shape[-1] / columns
        return [
            cells_of(cells, extent, stride, self.settings.pool, self._whole(cells, extent, stride))
            for cells, extent in zip(grid, extents, strict=True)
        ]

    def _whole(self, cells: torch.Tensor, extent: tuple[int, int], stride: float) -> torch.Tensor | None:
        return mean_cell(cells, extent, stride) if self.settings.whole else None

    def own_facts(self, limits: RegionLimits) -> dict[str, Any]:
        """See ``Backbone.own_facts``."""
        return own_facts(self.settings.pool, "mean of the cells" if self.settings.whole else None)


def _build(name: str, settings: BackboneSettings, pretrained: bool) -> Any:
    import timm

    levels = settings.levels

    def create(**options: Any) -> Any:
        # The random weights must depend on the seed alone, and the caller's random numbers on nothing done here.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            return timm.create_model(name, features_only=True, **options)

    try:
        count = len(create(pretrained=False).feature_info)
        chosen = [
            level % count for level in (_LEVELS[-count:] if levels is None else levels) if -count <= level < count
        ]
        if levels is not None and len(chosen) != len(levels):
            raise UsageError(f"{name} has {count} levels, 0 to {count - 1}, not {list(levels)}")
        with fetching(f"weights of {name}"):
            model = create(pretrained=pretrained, out_indices=tuple(sorted(set(chosen))))
        with torch.inference_mode():
            found = model.eval()(torch.zeros(1, 3, 64, 96))
        for level, channels in zip(found, model.feature_info.channels(), strict=True):
            if level.ndim != 4 or level.shape[1] != channels or level.shape[3] <= level.shape[2]:
                raise ValueError(f"a level has the shape {tuple(level.shape)}")
        return model
    except (UsageError, DataError):
        raise
    except Exception as error:  # each family of networks refuses in its own way
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"the network {name} cannot give features by level for images of any size: {reason}",
            mend="choose a convolutional network",
        ) from error


def _load(model: Any, path: Path, name: str) -> None:
    state = read_state(path)
    try:
        if name == _LITE0:
            state = rename_lite0(state)
        # The classifier's part is left over, and levels that were not chosen; anything else means another network.
        wanted = model.state_dict()
        if missing := [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]:
            raise KeyError(f"{missing[0]} is missing")
        stems = {key.split(".")[0] for key in wanted}
        if strange := [k for k in state if k not in wanted and not k.startswith(_HEAD) and k.split(".")[0] in stems]:
            whole = set(_whole(name))
            if unknown := [key for key in strange if key not in whole]:
                raise KeyError(f"{unknown[0]} is not of this network")
        model.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=False)
    except (RuntimeError, KeyError, IndexError) as error:
        raise DataError(
            f"the weights are not those of {name}: {' '.join(str(error).split())[:200]}", file=path
        ) from error


def _whole(name: str) -> list[str]:
    """Returns the names of all tensors of a network."""
    import timm

    with torch.device("meta"):
        return list(timm.create_model(name, pretrained=False).state_dict())


def folded(model: Any) -> Any:
    """Returns the network with its batch norms folded into the convolutions before them, a third faster.

    Which layer follows which is guessed from the order they were made in; a network where the guess changes
    the output is returned as it was.
    """
    copied = copy.deepcopy(model)
    probe = torch.rand((1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    # Not in inference mode: tensors made there cannot be used outside of it.
    with torch.no_grad():
        try:
            _fold_children(copied)
            pairs = zip(model(probe), copied(probe), strict=True)
            agree = all(torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max())) for a, b in pairs)
        except (RuntimeError, ValueError):
            agree = False
    return copied.requires_grad_(False) if agree else model


def _fold_children(module: torch.nn.Module) -> None:
    previous: torch.nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.BatchNorm2d) and isinstance(previous, torch.nn.Conv2d):
            if child.running_mean is None or child.running_var is None:
                raise ValueError("a batch norm without running statistics cannot be folded")
            weight, bias = torch.nn.utils.fuse_conv_bn_weights(
                previous.weight,
                previous.bias,
                child.running_mean,
                child.running_var,
                child.eps,
                child.weight,
                child.bias,
            )
            previous.weight, previous.bias = weight, bias
            # timm's batch norms carry the activation that follows them.
            setattr(module, name, getattr(child, "act", torch.nn.Identity()))
        else:
            _fold_children(child)
        previous = child
