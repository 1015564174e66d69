"""Cutting a validation part off the training questions, as VQA-CP has none of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vqa_gs.common.errors import UsageError
from vqa_gs.common.files import StrPath
from vqa_gs.data.image_groups import ImageGroups, group_of
from vqa_gs.data.questions import UNKNOWN_TYPE, ImageId, QuestionSet, read_question_set

Indices = npt.NDArray[np.int64]


def hold_out(
    question_set: QuestionSet, fraction: float, seed: int, groups: ImageGroups | None = None
) -> tuple[Indices, Indices]:
    """Holds out about ``fraction`` of the questions, by whole images.

    Images are drawn in random order, and one is held out if that brings the held-out number of questions of
    its types closer to the wished one. So the shares of the question types stay about those of the whole set,
    and no image is on both sides: a model selected on the held-out part has not seen its images.

    The outcome depends on the questions, the fraction and the seed alone, not on the order of the file.

    Args:
        question_set: the training questions; without annotations all count as one type.
        fraction: the share to hold out, between 0 and 1; what comes out may be a few percent of it more, as
            rare types are filled up by images that bring common ones along.
        seed: of the drawing.
        groups: images that are held out together, or not at all.

    Returns:
        int64 positions of the training and of the held-out questions, both ascending and neither empty.

    Raises:
        UsageError: ``fraction`` is not between 0 and 1, or there are fewer than two images.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"a held-out fraction of {fraction}", mend="choose one between 0 and 1, such as 0.1")
    images = group_of(question_set.image_ids, groups)
    if question_set.annotations is None:
        types = [UNKNOWN_TYPE] * len(question_set)
    else:
        types = [annotation.question_type for annotation in question_set.annotations]
    of_image: dict[ImageId, dict[str, int]] = {}  # a hundred thousand of them: counters would take a second
    for image, kind in zip(images, types, strict=True):
        counts = of_image.setdefault(image, {})
        counts[kind] = counts.get(kind, 0) + 1
    if len(of_image) < 2:
        raise UsageError(
            "the questions are about one image only, which cannot be on both sides",
            mend="hold out by hand, or give questions about more images",
        )
    wish = {kind: fraction * count for kind, count in Counter(types).items()}
    # Sorted first, so that the file's order has no say; ids may be of two types, which do not compare.
    ordered = sorted(of_image, key=lambda image: (isinstance(image, str), image))
    order = np.random.default_rng(seed).permutation(len(ordered))
    taken: Counter[str] = Counter()
    held: set[ImageId] = set()
    for place in order:
        image = ordered[place]
        counts = of_image[image]
        # The change of sum_k (taken_k - wish_k)^2 / wish_k; the division gives rare types their say.
        change = sum(count * (2 * (taken[kind] - wish[kind]) + count) / wish[kind] for kind, count in counts.items())
        if change < 0:
            held.add(image)
            for kind, count in counts.items():
                taken[kind] += count
    if not held:
        held.add(ordered[order[0]])
    elif len(held) == len(ordered):
        held.remove(ordered[order[0]])
    inside = np.fromiter((image in held for image in images), np.bool_, len(images))
    return np.flatnonzero(~inside).astype(np.int64), np.flatnonzero(inside).astype(np.int64)


def without_images(question_set: QuestionSet, others: Sequence[StrPath]) -> QuestionSet:
    """Leaves out the questions about images that other questions are about.

    Args:
        question_set: the questions.
        others: questions files; their hashes are added to the sources.

    Raises:
        UsageError: no question is left.
        DataError: one of the files is damaged.
    """
    sources, images = dict(question_set.sources), set()
    for file in others:
        part = read_question_set(file)
        images.update(part.image_ids)
        sources |= part.sources
    left = [row for row, image in enumerate(question_set.image_ids) if image not in images]
    if not left:
        raise UsageError("no question is left: all are about images that are left out")
    return replace(question_set.subset(left), sources=sources)
