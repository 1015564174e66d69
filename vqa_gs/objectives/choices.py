"""What several settings of terms choose among."""

from typing import Literal

Variant = Literal["true", "contrast", "loss"]  # the decision function, see `vqa_gs.objectives.decision`
Output = Literal["sigmoid", "softmax"]  # answers as independent decisions, or one choice
