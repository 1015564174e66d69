"""Where the data of a run on visual questions are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vqa_gs.common.checks import at_least
from vqa_gs.common.errors import UsageError


@dataclass
class SplitConfig:
    """The files of one split.

    Attributes:
        questions: questions JSON, plain or gzip.
        annotations: annotations JSON, plain or gzip.
        subsets: named lists of question ids (JSON) to report beside the whole.
        pairs: named lists of question id pairs (JSON) for pair accuracy.
        relevant_boxes: JSON list of ``{"question_id", "boxes"}``; with it the metrics say how much of the attention and
            of the gradient is on these boxes, and attention and gradient are written to ``grounding/SPLIT.h5``.
    """

    questions: str
    annotations: str
    subsets: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    relevant_boxes: str | None = None

    def files(self) -> list[str]:
        """Returns all of them."""
        named = [self.questions, self.annotations, *self.subsets.values(), *self.pairs.values()]
        return [*named, self.relevant_boxes] if self.relevant_boxes else named


@dataclass
class DataConfig:
    """Where the data are and how they become examples.

    Attributes:
        train: the training split.
        features: region store of all images, made by ``vqa-gs features convert``.
        counterfactual_features: region store of the images that only ``counterfactuals`` are about, where they are in
            one of their own.
        resident: where the features are kept: ``none`` reads them from the file, step by step; ``device`` loads them
            all to the device, where batches are gathered then; ``memory`` locks the file in memory; ``auto`` is
            ``device`` where that is a GPU of whose free memory half is enough for them, else ``none``.
        iid_val: in-domain split that epochs are chosen on; cut from training when left out.
        tests: out-of-distribution and other splits by name, looked at once, after training.
        counterfactuals: questions that occur only as ends of pairs (edited images).
        pairs: pair tables, made by ``vqa-gs pairs build``.
        pair_kinds: use only the pairs of these kinds, the controls of a table of masks, say; none named: all.
        max_pairs: use only the first so many pairs of the tables; 0 uses all.
        val_fraction: share of training images held out when ``iid_val`` is left out.
        min_answer_questions: an answer enters the vocabulary with so many distinct training questions.
        question_length: tokens a question is cut or padded to.
        test_selection: ``refused``, or ``acknowledged`` to let iid_val share questions with a test split.
        glove: word vectors: a ``.txt``, ``.npz`` or ``.npy`` file, or an installed package's name.
    """

    train: SplitConfig
    features: str
    iid_val: SplitConfig | None = None
    tests: dict[str, SplitConfig] = field(default_factory=dict)
    counterfactuals: SplitConfig | None = None
    counterfactual_features: str | None = None
    resident: Literal["auto", "none", "device", "memory"] = "auto"
    pairs: list[str] = field(default_factory=list)
    pair_kinds: list[str] = field(default_factory=list)
    max_pairs: int = 0
    val_fraction: float = 0.1
    min_answer_questions: int = 9
    question_length: int = 14
    test_selection: Literal["refused", "acknowledged"] = "refused"
    glove: str | None = None

    def __post_init__(self) -> None:
        at_least(self, "data", 1, "min_answer_questions", "question_length")
        at_least(self, "data", 0, "max_pairs")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"data.val_fraction must be between 0 and 1, not {self.val_fraction}")

    def stores(self) -> list[str]:
        """Returns the region stores, which a run records one hash for, under the first one's name."""
        return [self.features, *([self.counterfactual_features] if self.counterfactual_features else [])]

    def files(self) -> list[str]:
        """Returns the files a run reads; word vectors, which may be a package's, are left out."""
        named = [*self.stores(), *self.pairs]
        for split in (self.train, self.iid_val, self.counterfactuals, *self.tests.values()):
            if split is not None:
                named += split.files()
        return named
