"""The networks: of visual questions, of texts, of multi-label images, one a file in a folder each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vqa_gs.common.registry import Registry

if TYPE_CHECKING:
    from vqa_gs.models.label_model import LabelModel
    from vqa_gs.models.text_model import TextModel
    from vqa_gs.models.vqa_model import VqaModel

_SETTINGS = "vqa_gs.models.settings"

MODELS: Registry[type[VqaModel]] = Registry("model", "vqa_gs.models.vqa", _SETTINGS)
TEXT_MODELS: Registry[type[TextModel]] = Registry("text model", "vqa_gs.models.text", _SETTINGS)
LABEL_MODELS: Registry[type[LabelModel]] = Registry("multi-label model", "vqa_gs.models.labels", _SETTINGS)

__all__ = ["LABEL_MODELS", "MODELS", "TEXT_MODELS"]
