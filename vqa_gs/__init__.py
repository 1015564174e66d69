"""Visual question answering under changing answer priors: pairs, gradient supervision, honest reports.

The public names are loaded on first use, so that importing a torch-free part (scoring, readers) stays cheap.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "GradientSupervision": "vqa_gs.objectives.terms.gradient_supervision",
    "RegionStore": "vqa_gs.features.store",
    "VQAAccuracy": "vqa_gs.training.metric",
    "evaluate": "vqa_gs.eval.evaluate",
    "gradient_supervision_loss": "vqa_gs.objectives.terms.gradient_supervision",
    "load": "vqa_gs.training.opened",
}

__all__ = [
    "GradientSupervision",
    "RegionStore",
    "VQAAccuracy",
    "__version__",
    "evaluate",
    "gradient_supervision_loss",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'vqa_gs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
