"""The regions whose class the question or the answer names, where the classes of regions are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from vqa_gs.pair_builders.class_words import ClassWords
from vqa_gs.pair_builders.evidence import Evidence, evidence
from vqa_gs.pair_builders.evidence._named import class_in_question

if TYPE_CHECKING:
    from vqa_gs.pair_builders.base import PairSources
    from vqa_gs.pair_builders.masked import Settings


@evidence("classes")
def from_classes(sources: PairSources, settings: Settings) -> tuple[Iterator[Evidence], dict[str, str]]:
    """Regions of the class that the question asks for or the answer names."""
    return _classes(sources), dict(sources.classes.sources)


def _classes(sources: PairSources) -> Iterator[Evidence]:
    classes, words = sources.classes, ClassWords(sources.classes.names)
    for row in range(len(sources.questions)):
        image_id = sources.questions.image_ids[row]
        if image_id not in classes.rows:
            continue
        for name in class_in_question(sources, words, row):
            regions = np.flatnonzero(classes.of(image_id) == name)
            if len(regions):
                number = classes.numbers(np.array([classes.rows[image_id]]), np.array([name]))[0]
                # A region that stands for several instances can only go as a whole.
                yield Evidence(row, [regions[at : at + 1] for at in range(len(regions))], name, True, float(number))
