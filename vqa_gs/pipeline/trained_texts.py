"""A finished run on labelled texts, ready to label others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase
from vqa_gs.contracts import ModelOutput, TrainingStatistics, asked
from vqa_gs.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_gs.eval.results import Result
from vqa_gs.models.text import TEXT_MODELS
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.pipeline.text_data import encode, shown
from vqa_gs.pipeline.trained import Trained, columns_of, described_model


class TrainedTexts(Trained):
    """A finished run of a task of texts.

    Args:
        folder: the run directory.
        settings: the run's settings.
        columns: the columns of the task's texts.
        device: where to compute, see `choose_device`.
    """

    def __init__(self, folder: Path, settings: RunSettings, columns: Sequence[str], device: str = "auto") -> None:
        self.columns = tuple(columns)
        self.words = WordVocabulary.load(folder / "words.json")
        self.labels = AnswerVocabulary.load(folder / "answers.json").answers
        sizes = len(self.words), len(self.labels), len(columns)
        model = described_model(folder, lambda: TEXT_MODELS[settings.architecture](*sizes, settings.model))
        statistics = TrainingStatistics(self.labels, ("",), self.labels, sizes=model.sizes())
        super().__init__(folder, settings, model, statistics, device)

    def answer(self, *texts: str) -> dict[str, float]:
        """Returns label -> score of one example, the best first.

        Args:
            texts: as many as the task has columns: one review, or premise and hypothesis.
        """
        if len(texts) != len(self.columns):
            raise UsageError(f"{len(texts)} texts where the task has {', '.join(self.columns)}")
        (scores,) = self._scores([texts], 1).tolist()
        return dict(sorted(zip(self.labels, scores, strict=True), key=lambda item: -item[1]))

    def results(self, texts: Sequence[tuple[str, ...]], batch_size: int = 512, scores: bool = False) -> list[Result]:
        """Labels texts, as the rows of a result file whose ids are the texts' rows.

        Args:
            texts: n tuples of as many texts as the task has columns.
            batch_size: texts at once.
            scores: tell each label's probability (the sigmoid of its logit) and the entropy in nats of the softmax.
        """
        with phase("labelling", len(texts), "texts"):
            logits = self._logits(texts, batch_size)
        shares = torch.log_softmax(logits, 1)
        entropy = (-(shares.exp() * shares).sum(1)).clamp_min(0).tolist()
        best, codes = logits.max(1)
        return [
            Result(row, self.labels[code], score if scores else None, spread if scores else None)
            for row, (code, score, spread) in enumerate(
                zip(codes.tolist(), best.sigmoid().tolist(), entropy, strict=True)
            )
        ]

    def logits(self, texts: Sequence[tuple[str, ...]], labels: Sequence[str]) -> torch.Tensor:
        """Returns the logits (n, labels) float16 of some labels on the CPU, see `columns_of`."""
        return columns_of(self._logits(texts, 512), self.labels, labels)

    def _scores(self, texts: Sequence[tuple[str, ...]], batch_size: int) -> torch.Tensor:
        return self._logits(texts, batch_size).sigmoid()

    @torch.no_grad()
    def _logits(self, texts: Sequence[tuple[str, ...]], batch_size: int) -> torch.Tensor:
        """Returns (n, labels) float64 logits on the CPU."""
        texts = shown(texts, self.columns, self.settings.data.hidden)
        examples = encode(texts, np.zeros(len(texts), np.int64), self.words, self.settings.data.length)
        order = np.argsort(examples.lengths(), kind="stable")  # texts of one length need no padding
        logits = torch.zeros(len(texts), len(self.labels), dtype=torch.float64)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            out = ModelOutput(self.model(tuple(part.to(self.device) for part in examples.rows(rows))))
            types = torch.zeros(len(rows), dtype=torch.int64, device=self.device)  # texts have one type
            logits[torch.from_numpy(rows)] = asked(self.terms.values(), out, types).logits.double().cpu()
        return logits
