"""Re-splitting a dataset so that answer priors change between training and test, as VQA-CP was made.

After Agrawal, Batra, Parikh, Kembhavi, *Don't Just Assume; Look and Answer* (CVPR 2018), section 3: questions of
one question type and one answer form a group; groups go to training or test as wholes, greedily, so that training
covers the concepts of the test groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import UsageError
from vqa_gs.data.image_groups import ImageGroups, group_of
from vqa_gs.data.normalize import tokenize
from vqa_gs.data.priors import answer_key
from vqa_gs.data.questions import Annotation, QuestionId, QuestionSet

Indices = npt.NDArray[np.int64]
Concept = str | tuple[str, str]

GROUP_FIELDS: dict[str, Callable[[Annotation], str]] = {
    "question_type": lambda annotation: annotation.question_type,
    "answer_type": lambda annotation: annotation.answer_type,
    "answer": answer_key,
}
"""What questions can be grouped by."""

# Words that say nothing about what is asked or answered; they would count as covered by any group at all.
_STOP_WORDS = frozenset(
    ("a", "an", "the", "is", "are", "was", "were", "be", "do", "does", "did", "of", "in", "on", "at", "to")
)


@dataclass(frozen=True)
class ChangingPriors:
    """The outcome of a re-split.

    Attributes:
        train: int64 positions of the training questions, ascending.
        test: int64 positions of the test questions, ascending.
        groups: how many groups there were.
    """

    train: Indices
    test: Indices
    groups: int


def _concepts(fields: Sequence[str], key: tuple[str, ...]) -> frozenset[Concept]:
    """The words of a group, and its question type as a whole: a type that is nowhere in training has no prior."""
    words = {word for part in key for word in tokenize(part) if word not in _STOP_WORDS}
    whole = {(field, part) for field, part in zip(fields, key, strict=True) if field != "answer"}
    return frozenset(words | whole)


def changing_priors(
    question_set: QuestionSet,
    groups: Sequence[str] = ("question_type", "answer"),
    test_share: float = 1 / 3,
    seed: int = 0,
    overlap: float = 0.0,
) -> ChangingPriors:
    """Splits questions by groups, so that what is a common answer in training is rare in test.

    Groups are offered to test in random order. One goes there if every concept of it - the words of its fields,
    and its question type - stays in a training group, until test has its share; the rest is training's. That
    keeps the covering of test concepts, which the original procedure only strives for, without exception. The
    outcome depends on the questions, the settings and the seed, not on the order of the file.

    At an overlap of 0 hardly any test question has a type and answer that training shows together, so that avoiding
    what training shows is rewarded as if it were looking. With an overlap a share of every group, drawn at random, goes
    to the side where the group is not: priors change, and support does not vanish.

    Args:
        question_set: questions with annotations.
        groups: the fields that make a group, names in `GROUP_FIELDS`.
        test_share: share of the questions that test gets, about.
        seed: of the order in which groups are offered to test.
        overlap: share of each group's questions that goes to the other side, from 0 to 0.5, where both sides are alike.

    Raises:
        UsageError: the settings are unknown or out of range, there are no annotations, or there is one group only.
    """
    unknown = [name for name in groups if name not in GROUP_FIELDS]
    if unknown or not groups:
        raise UsageError(
            f"questions cannot be grouped by {unknown[0] if unknown else 'nothing'!r}",
            mend=f"choose among {', '.join(GROUP_FIELDS)}",
        )
    if not 0 < test_share < 1:
        raise UsageError(f"a test share of {test_share}", mend="choose one between 0 and 1, such as 0.33")
    if not 0 <= overlap <= 0.5:
        raise UsageError(f"an overlap of {overlap}", mend="choose one from 0 to 0.5, such as 0.1")
    if question_set.annotations is None:
        raise UsageError("a split by answers needs annotations", mend="give --annotations")
    rows_of: dict[tuple[str, ...], list[int]] = {}
    fields = [GROUP_FIELDS[name] for name in groups]
    for row, annotation in enumerate(question_set.annotations):
        rows_of.setdefault(tuple(field(annotation) for field in fields), []).append(row)
    if len(rows_of) < 2:
        raise UsageError(
            f"all questions are of one group ({' / '.join(next(iter(rows_of)))})", mend="group by other fields"
        )
    keys = sorted(rows_of)
    order = np.random.default_rng(seed).permutation(len(keys))
    keys = [keys[place] for place in order]
    in_test = _assign(
        [_concepts(groups, key) for key in keys], [len(rows_of[key]) for key in keys], test_share * len(question_set)
    )
    if not in_test:
        raise UsageError(
            "no group can go to test: each is too large, or has a word that no other group has",
            mend="raise the test share, or group by other fields",
        )
    test = np.zeros(len(question_set), np.bool_)
    for place in in_test:
        test[rows_of[keys[place]]] = True
    if overlap:
        crossing = _drawn(rows_of, question_set.question_ids, overlap, seed)
        test[crossing] = ~test[crossing]
    return ChangingPriors(np.flatnonzero(~test).astype(np.int64), np.flatnonzero(test).astype(np.int64), len(keys))


def one_side_an_image(
    question_set: QuestionSet, split: ChangingPriors, groups: ImageGroups, seed: int = 0
) -> ChangingPriors:
    """Keeps every image, with those of its group, on one side; its questions of the other side are left out.

    Images go to test in the order of how much more of test's questions than of training's they have, until both sides
    keep about the same share of their questions. So priors change as much as before.

    Args:
        question_set: the questions that were split.
        split: the outcome.
        groups: images that stay together.
        seed: of the order of images that are equal.

    Raises:
        UsageError: there is one group of images only, or a side is left without a question.
    """
    owners = group_of(question_set.image_ids, groups)
    # Sorted first, so that the file's order has no say; ids may be of two types, which do not compare.
    ordered = sorted(set(owners), key=lambda image: (isinstance(image, str), image))
    ordered = [ordered[place] for place in np.random.default_rng([seed, 2]).permutation(len(ordered))]
    train, test = (Counter(owners[row] for row in rows.tolist()) for rows in (split.train, split.test))
    shares = np.array([(train[image] / len(split.train), test[image] / len(split.test)) for image in ordered])
    order = np.argsort(shares[:, 0] - shares[:, 1], kind="stable")
    kept_train, kept_test = 1 - shares[order, 0].cumsum(), shares[order, 1].cumsum()
    # Equal but for rounding is equal.
    in_test = {ordered[place] for place in order[: 1 + int((kept_test < kept_train - 1e-9).sum())]}
    rows_train = [row for row in split.train.tolist() if owners[row] not in in_test]
    rows_test = [row for row in split.test.tolist() if owners[row] in in_test]
    if not rows_train or not rows_test:
        raise UsageError("all images are of one side", mend="give smaller groups of images, or questions about more")
    return ChangingPriors(np.array(rows_train, np.int64), np.array(rows_test, np.int64), split.groups)


def _assign(concepts: Sequence[frozenset[Concept]], sizes: Sequence[int], wanted: float) -> list[int]:
    """Returns the groups of test; every concept of theirs has a group left in training."""
    training_holders = Counter(concept for group in concepts for concept in group)
    in_test: list[int] = []
    filled = 0.0
    for place, group in enumerate(concepts):
        # A huge group late would overshoot; leaving it to training misses the share by less.
        overshoots = filled + sizes[place] - wanted > wanted - filled
        if overshoots or any(training_holders[concept] == 1 for concept in group):
            continue
        training_holders.subtract(group)
        in_test.append(place)
        filled += sizes[place]
    return in_test


def _drawn(
    rows_of: Mapping[tuple[str, ...], list[int]], ids: Sequence[QuestionId], share: float, seed: int
) -> list[int]:
    """Returns a share of the questions of every group, drawn at random; of small groups on average that share."""
    rng, drawn = np.random.default_rng([seed, 1]), []
    for key in sorted(rows_of):
        # Sorted first, so that the file's order has no say; ids may be of two types, which do not compare.
        rows = sorted(rows_of[key], key=lambda row: (isinstance(ids[row], str), ids[row]))
        count = int(share * len(rows) + rng.random())
        drawn += [rows[place] for place in rng.permutation(len(rows))[:count]]
    return drawn
