"""A detector's proposals, chosen as bottom-up attention chose them."""

from __future__ import annotations

from vqa_gs.features.extract.backbones import family_of, load_backbone
from vqa_gs.features.extract.boxes import BoxSettings, BoxSource, NetworkRegions, box_source, makes_own

from vqa_gs.common.errors import UsageError

_MEND = "write detector:fasterrcnn_resnet50_fpn_v2"


@box_source("detector")
def make(argument: str, settings: BoxSettings) -> BoxSource:
    """Makes the source; its argument is the detector's name, none where the backbone is the detector."""
    network = settings.backbone
    if network is not None and makes_own(network, "detector") and argument in ("", network.name):
        return NetworkRegions("detector", network, settings.limits)
    if not argument:
        raise UsageError("--boxes detector needs the detector's name, as the backbone is none", mend=_MEND)
    if not makes_own(family_of(argument), "detector"):
        raise UsageError(f"{argument!r} is no detector", mend=_MEND)
    try:
        network = load_backbone(
            argument, settings.weights, device=settings.device, allow_download=settings.allow_download
        )
    except UsageError as error:
        raise UsageError(error.problem, mend=(error.mend or "").replace("--weights", "--detector-weights")) from error
    return NetworkRegions("detector", network, settings.limits)
