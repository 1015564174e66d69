"""The regions whose class the question or the answer names, where the classes of regions are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from vqa_gs.pair_builders.classes.questions import classes_in_question
from vqa_gs.pair_builders.classes.words import ClassWords
from vqa_gs.pair_builders.evidence_source import Evidence, evidence
from vqa_gs.pair_builders.sources import PairSources


@dataclass(frozen=True)
class Settings:
    """Nothing to set: `--regions.names` and `--regions.classes` say what the regions are."""


@evidence("classes", Settings)
def from_classes(sources: PairSources, settings: Settings) -> tuple[Iterator[Evidence], dict[str, str]]:
    """Regions of the class that the question asks for or the answer names."""
    return _classes(sources), dict(sources.classes.sources)


def _classes(sources: PairSources) -> Iterator[Evidence]:
    classes, words = sources.classes, ClassWords(sources.classes.names)
    for row, image_id in enumerate(sources.questions.image_ids):
        if image_id not in classes.rows:
            continue
        for name in classes_in_question(words, *sources.ends.asked(row)):
            regions = np.flatnonzero(classes.of(image_id) == name)
            if len(regions):
                number = classes.numbers(np.array([classes.rows[image_id]]), np.array([name]))[0]
                # A region that stands for several instances can only go as a whole.
                yield Evidence(row, [regions[at : at + 1] for at in range(len(regions))], name, True, float(number))
