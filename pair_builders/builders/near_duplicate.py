"""Pairs of near-duplicate questions on near-duplicate images, and the two halves of that alone.

| setting | images | questions | what makes the difference |
|---|---|---|---|
| `near_images` | one of another's nearest few | equal in content, or one content word changed | mostly the image |
| `same_image` | one | likewise | the question: regions have no direction, words have |
| `any_images` | the nearest that can be had, as for `same-question` | equal in content | the image |

Kinds tell them apart: `near-duplicate`, and `near-duplicate-question` on one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from vqa_gs.pair_builders.builder import pair_builder, table_of
from vqa_gs.pair_builders.nearest.groups import Grouped, grouped_pairs
from vqa_gs.pair_builders.nearest.images import distances, pooled_features, standardised
from vqa_gs.pair_builders.nearest.partners import Edges, at_most, unique_edges
from vqa_gs.pair_builders.nearest.pictures import BITS, hash_pictures, nearest_hashes
from vqa_gs.pair_builders.nearest.questions import Texts
from vqa_gs.pair_builders.nearest.search import nearest_images
from vqa_gs.pair_builders.sources import PairSources, Progress
from vqa_gs.pair_builders.table import IDENTITY, PairTable
from vqa_gs.pair_builders.table.columns import ragged_positions

from vqa_gs.common.errors import UsageError
from vqa_gs.common.phases import phase

KIND = "near-duplicate"
ONE_IMAGE = "near-duplicate-question"

# Pairs of questions looked at together.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Settings(Grouped):
    """Which images and which questions count as near.

    Args:
        near_images: pair questions about near-duplicate images.
        same_image: pair questions about one image.
        any_images: pair questions equal in content about the most similar images there are.
        questions: on near or equal images: `same` after normalisation; `content`: equal content words; `edit`: these,
            or at most `edits` letters apart; `word`: these, or one content word changed.
        edits: the most letters between two questions of one text.
        neighbours: how many of its nearest images an image is compared with.
        distance: the largest distance of near-duplicate images; None: any of the neighbours.
        exact: compare all images with all, instead of an approximate search.
        pictures: a folder of the images; those whose perceptual hashes differ in at most `hash_bits` of 64 bits are
            near-duplicates too, whatever their regions say.
        picture_ids: how the pictures' names give ids: `auto`, `number`, `text`, or a file of name and id.
        hash_bits: see `pictures`.
    """

    near_images: bool = True
    same_image: bool = True
    any_images: bool = False
    questions: Literal["same", "content", "edit", "word"] = "word"
    edits: int = 2
    neighbours: int = 16
    distance: float | None = None
    exact: bool = False
    pictures: Path | None = None
    picture_ids: str = "auto"
    hash_bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.near_images or self.same_image or self.any_images):
            raise UsageError("no images are wanted", mend="set near_images, same_image or any_images")
        if self.edits < 0 or self.neighbours < 1:
            raise UsageError("edits or neighbours is too small", mend="give 0 edits or more, 1 neighbour or more")
        if self.distance is not None and not self.distance >= 0:
            raise UsageError(f"distance is {self.distance}", mend="give a number of 0 or more")
        if not 0 <= self.hash_bits < BITS:
            raise UsageError(f"hash_bits is {self.hash_bits}", mend=f"give 0 to {BITS - 1}")
        if self.pictures is not None and not self.near_images:
            raise UsageError("pictures tell near-duplicate images, which are not wanted", mend="set near_images")


@pair_builder(KIND, Settings)
def build(sources: PairSources, settings: Settings, seed: int, progress: Progress | None = None) -> PairTable:
    """Near-duplicate questions on near-duplicate images, or either half alone, with different answers.

    Returns:
        The pairs, their regions not matched yet. A pair that two settings find is there once.

    Raises:
        DataError: an image is not in the store.
    """
    questions = sources.questions
    texts = Texts([question.question for question in questions.questions])
    image_ids = list(dict.fromkeys(questions.image_ids))
    number = {image_id: at for at, image_id in enumerate(image_ids)}
    images = np.fromiter((number[image_id] for image_id in questions.image_ids), np.int64, len(questions))
    answers = sources.ends.answers[1][: len(questions)]
    found: list[Edges] = []
    if settings.same_image:
        everyone = np.arange(len(image_ids), dtype=np.int64)
        links = Edges(everyone, everyone, np.zeros(len(everyone), np.float32))
        found.append(_questions_of(links, images, texts, answers, settings))
    if settings.near_images:
        sources.require_images(range(len(questions)))
        vectors = standardised(pooled_features(sources.require_store(), image_ids, progress))
        linked = [_links(vectors, settings)]
        if settings.pictures is not None:
            hashes = hash_pictures(settings.pictures, settings.picture_ids, image_ids, progress)
            with phase("comparing pictures"):
                a, b = nearest_hashes(hashes, settings.neighbours, settings.hash_bits)
            linked.append(Edges(a, b, distances(vectors, a, b, settings.metric)))
        found.append(_questions_of(unique_edges(linked), images, texts, answers, settings))
    if settings.any_images:
        with phase("grouping near-duplicate questions"):
            family = texts.families(settings.edits)[texts.of]
        found.append(grouped_pairs(sources, family, settings, seed, progress))
    edges = unique_edges(found)
    edges = edges.take(np.lexsort((edges.b, edges.a)))
    table = table_of(KIND, sources, settings, seed, edges.a, edges.b, distance=edges.distance)
    one = images[edges.a] == images[edges.b]
    alignment = np.where(one, IDENTITY, table.alignment).astype(np.uint8)
    return replace(table, kind=one.astype(np.uint8), kinds=(KIND, ONE_IMAGE), alignment=alignment)


def _links(vectors: NDArray[np.float32], settings: Settings) -> Edges:
    """Returns the pairs of near-duplicate images, some of them twice."""
    near, distance = nearest_images(vectors, settings.neighbours, settings.metric, settings.exact)
    wanted = near >= 0
    if settings.distance is not None:
        wanted &= distance <= settings.distance
    image, rank = np.nonzero(wanted)
    return Edges(image.astype(np.int64), near[image, rank], distance[image, rank])


def _questions_of(
    links: Edges, images: NDArray[np.int64], texts: Texts, answers: NDArray[np.int64], settings: Settings
) -> Edges:
    """Returns the pairs of near-duplicate questions about linked images, nearest first, not too many of a question."""
    order = np.argsort(images, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(images, minlength=int(images.max(initial=-1)) + 1))])
    parts = []
    with phase("comparing the questions of similar images", len(links.a), "pairs of images") as far:
        for block in _blocks(links, np.diff(first)):
            bounds, position_a = ragged_positions(first, block.a)
            owner = np.repeat(np.arange(len(block.a)), np.diff(bounds))
            bounds, position_b = ragged_positions(first, block.b[owner])
            again = np.repeat(np.arange(len(owner)), np.diff(bounds))
            a, b = order[position_a[again]], order[position_b]
            distance = block.distance[owner[again]]
            differ = (a < b) | (images[a] != images[b])
            edges = Edges(a, b, distance).take(differ & (answers[a] != answers[b]))
            parts.append(edges.take(_near(edges, texts, settings)))
            far(len(block.a))
        edges = unique_edges(parts)
        return edges.take(at_most(edges, len(images), settings.partners))


def _blocks(links: Edges, counts: NDArray[np.int64]) -> Iterator[Edges]:
    """Cuts links of images so that each part makes a bounded number of pairs of questions."""
    made = np.cumsum(counts[links.a] * counts[links.b])
    start = 0
    while start < len(made):
        before = made[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(made, before + _BLOCK, side="right")))
        yield links.take(np.arange(start, min(end, len(made))))
        start = end


def _near(edges: Edges, texts: Texts, settings: Settings) -> NDArray[np.bool_]:
    a, b = texts.of[edges.a], texts.of[edges.b]
    if settings.questions == "same":
        return a == b
    changed = texts.changed_words(a, b)
    near = changed <= (settings.questions == "word")
    if settings.questions != "content" and settings.edits:
        rest = np.flatnonzero(~near)
        near[rest] = texts.within(a[rest], b[rest], settings.edits)
    return near
