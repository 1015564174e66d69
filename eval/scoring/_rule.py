"""What all rules are: functions found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vqa_gs.common.registry import Registry
from vqa_gs.data.questions import Annotation

Scores = npt.NDArray[np.float64]
Rule = Callable[[Sequence[Annotation], Sequence[str]], Scores]

RULES: Registry[Rule] = Registry("scoring rule", "vqa_gs.eval.scoring")
"""The rules by name; adding one is adding a file."""


class Memo(dict[str, str]):
    """Remembers what a function made of each text, for as long as one scoring lasts."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, text: str) -> str:
        made = self[text] = self.function(text)
        return made
