"""The splits a run on visual questions is scored on."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vqa_gs.common.phases import phase
from vqa_gs.contracts import Objective
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import QuestionSet
from vqa_gs.eval.controls import AnswerControls
from vqa_gs.eval.evidence import Evidence
from vqa_gs.eval.grounding_file import read_relevant_boxes, write_grounding
from vqa_gs.eval.question_types import with_question_types
from vqa_gs.eval.results import read_id_list
from vqa_gs.eval.runs import SplitMetrics
from vqa_gs.features.store import RegionStore
from vqa_gs.models.vqa_model import VqaModel
from vqa_gs.pipeline.image_plan import image_codes, shares
from vqa_gs.pipeline.scored_split import ScoredSplit
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.tasks.vqa.examples import Examples, TrainingData, make_examples, require_images
from vqa_gs.tasks.vqa.predictor import Predictor
from vqa_gs.tasks.vqa.settings import SplitConfig


@dataclass
class VqaSplit(ScoredSplit):
    """A split of questions about images.

    Attributes:
        examples: the questions as tokens.
        store: the regions of their images.
        share: how many questions share an image at the most, see `Predictor`.
    """

    examples: Examples
    store: RegionStore
    share: int = field(default=0, kw_only=True)

    def logits(
        self, model: nn.Module, batch_size: int, rank: int, world: int, terms: Collection[Objective]
    ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Yields rows and logits of the questions; see `ScoredSplit`."""
        assert isinstance(model, VqaModel)
        predictor = Predictor(model, terms, share=self.share)
        with closing(predictor.outputs(self.examples, self.store, batch_size, rank, world)) as batches:
            for rows, out in batches:
                yield torch.from_numpy(rows), out.logits

    def ground(self, model: nn.Module, terms: Collection[Objective] = ()) -> None:
        """Takes in where the model looks, where it is known which boxes matter."""
        if self.evidence.relevance is not None:
            assert isinstance(model, VqaModel)
            found = Predictor(model, terms).regions(self.examples, self.store, self.questions.question_ids)
            self.evidence = replace(self.evidence, grounding=found)

    def report(self, predictions: Tensor, folder: Path) -> SplitMetrics:
        """Writes answers and their analysis, and where the model looks if that was taken in."""
        if self.evidence.grounding is not None:
            write_grounding(folder / "grounding" / f"{self.name}.h5", self.evidence.grounding)
        return super().report(predictions, folder)


def prepare_split(
    name: str,
    questions: QuestionSet,
    files: SplitConfig | None,
    data: TrainingData,
    settings: RunSettings,
    store: RegionStore,
) -> VqaSplit:
    """Prepares a split and scores empty answers once: what scoring will refuse is refused now.

    Args:
        name: the split's name.
        questions: its questions and annotations.
        files: where lists of subsets and pairs are; None for none.
        data: the run's vocabularies and training questions.
        settings: the run's settings.
        store: the region store.

    Raises:
        DataError: an image has no regions, or the rule does not apply to the answers.
        UsageError: there is no such rule, or a list names unknown questions.
    """
    with phase(f"checking the split {name}"):
        return _prepared(name, questions, files, data, settings, store)


def _prepared(
    name: str,
    questions: QuestionSet,
    files: SplitConfig | None,
    data: TrainingData,
    settings: RunSettings,
    store: RegionStore,
) -> VqaSplit:
    require_images(questions, store)
    typed = with_question_types(questions)[0].annotations
    assert typed is not None
    assert data.train.annotations is not None
    shared = shares(settings.training.share_images, image_codes(data.examples.image_ids[: data.ordinary].tolist()))
    split = VqaSplit(
        name,
        questions,
        settings.scoring,
        data.answers.answers,
        {name: read_id_list(file) for name, file in (files.subsets if files else {}).items()},
        Evidence(
            train=data.train.annotations,
            pairs={name: read_pair_list(file)[0] for name, file in (files.pairs if files else {}).items()},
            relevance=read_relevant_boxes(files.relevant_boxes) if files and files.relevant_boxes else None,
        ),
        settings.data.test_selection == "acknowledged",
        make_examples(
            questions,
            data.words,
            None,
            settings.data.question_length,
            data.question_types.of([question.question for question in questions.questions]),
        ),
        store,
        controls=AnswerControls(data.train.annotations, typed, data.answers.answers, settings.scoring),
        share=settings.training.max_questions_per_image if shared else 0,
    )
    split.check()
    return split
