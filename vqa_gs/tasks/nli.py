"""Natural language inference: SNLI originals with human edits of premise or hypothesis (Kaushik et al., ICLR 2020)."""

from __future__ import annotations

from vqa_gs.pipeline.text_task import TextTask
from vqa_gs.tasks import TASKS


@TASKS.register("nli")
class Inference(TextTask):
    """Files with columns sentence1, sentence2, gold_label; edits stand in the order of the originals."""

    columns = ("sentence1", "sentence2")
    label = "gold_label"
    labels = ("contradiction", "entailment", "neutral")
