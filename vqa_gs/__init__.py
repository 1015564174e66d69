"""Visual question answering under changing answer priors: pairs, gradient supervision, honest reports.

The public names are loaded on first use, so that importing a torch-free part (scoring, readers) stays cheap.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "VQAAccuracy": "vqa_gs.training.metric",
    "GradientSupervision": "vqa_gs.objectives.terms.gradient_supervision",
    "gradient_supervision_loss": "vqa_gs.objectives.terms.gradient_supervision",
}

__all__ = ["GradientSupervision", "VQAAccuracy", "__version__", "gradient_supervision_loss"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'vqa_gs' has no attribute {name!r}")
