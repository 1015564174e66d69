"""Settings of questions about other images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vqa_gs.objectives import OBJECTIVES
from vqa_gs.objectives.schedule import Scheduled

Kind = Literal["random_image", "ssl"]


@OBJECTIVES.settings("negative_image", "vqa_gs.objectives.terms.negative_image")
@dataclass(frozen=True)
class NegativeImageSettings(Scheduled):
    """Settings of questions about other images.

    Attributes:
        kind: ``random_image`` or ``ssl``.
    """

    kind: Kind = "random_image"
