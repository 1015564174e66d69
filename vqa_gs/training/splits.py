"""The splits a run is scored on: read and checked before training, so that nothing is found amiss after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.analysis import analyse
from eval.breakdowns import Evidence
from eval.evaluate import evaluate
from eval.results import read_id_list
from features.store import RegionStore
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import QuestionId, QuestionSet
from vqa_gs.training.config import RunConfig, SplitConfig
from vqa_gs.training.examples import Examples, TrainingData, make_examples, require_images


@dataclass
class ScoredSplit:
    """A split that a run is scored on.

    Attributes:
        name: what metrics and predictions are filed under.
        questions: questions and annotations.
        examples: the questions as tokens.
        rule: the scoring rule.
        subsets: named lists of question ids.
        evidence: what a full analysis may look at: the training annotations, named lists of pairs of question ids.
        chosen_on_test: epochs are chosen on questions of a test split, which the analysis has to say.
    """

    name: str
    questions: QuestionSet
    examples: Examples
    rule: str
    subsets: dict[str, Any]
    evidence: Evidence
    chosen_on_test: bool

    def score(self, answers: dict[QuestionId, str]) -> dict[str, Any]:
        """Returns the averages over an answer to every question."""
        return evaluate(self.questions, answers, self.rule, self.name, self.subsets, self.evidence.pairs)

    def analyse(self, answers: dict[QuestionId, str]) -> dict[str, Any]:
        """Returns the content of a metrics file: averages, intervals, breakdowns, notes."""
        metrics = analyse(self.questions, answers, self.rule, self.name, self.subsets, evidence=self.evidence)
        if self.chosen_on_test:
            metrics["selection"] = {"on_test": True}
            metrics["notes"].append("epochs were chosen on questions of a test split")
        return metrics


def prepare_split(
    name: str,
    questions: QuestionSet,
    files: SplitConfig | None,
    data: TrainingData,
    config: RunConfig,
    store: RegionStore,
) -> ScoredSplit:
    """Prepares a split and scores empty answers once: what scoring will refuse is refused now.

    Args:
        name: the split's name.
        questions: its questions and annotations.
        files: where lists of subsets and pairs are; None for none.
        data: the run's vocabularies and training questions.
        config: the run's settings.
        store: the region store.

    Raises:
        DataError: an image has no regions, or the rule does not apply to the answers.
        UsageError: there is no such rule, or a list names unknown questions.
    """
    require_images(questions, store)
    split = ScoredSplit(
        name,
        questions,
        make_examples(questions, data.words, None, config.data.question_length),
        config.scoring,
        {name: read_id_list(file) for name, file in (files.subsets if files else {}).items()},
        Evidence(
            train=data.train.annotations,
            pairs={name: read_pair_list(file)[0] for name, file in (files.pairs if files else {}).items()},
        ),
        config.data.test_selection == "acknowledged",
    )
    split.score(dict.fromkeys(questions.question_ids, ""))
    return split
