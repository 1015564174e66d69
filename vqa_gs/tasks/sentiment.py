"""Sentiment of film reviews: IMDb originals and their human edits (Kaushik et al., ICLR 2020)."""

from __future__ import annotations

from vqa_gs.pipeline.text_task import TextTask
from vqa_gs.tasks import TASKS


@TASKS.register("sentiment")
class Sentiment(TextTask):
    """Files with columns Text and Sentiment; pairs are rows of one ``batch_id``, the original first."""

    columns = ("Text",)
    label = "Sentiment"
    labels = ("Negative", "Positive")
