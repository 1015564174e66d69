"""What the gallery shows of a sample of pairs, as columns for the page's script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vqa_gs.features.store import Regions, RegionStore
from vqa_gs.pair_builders.classes.regions import RegionClasses
from vqa_gs.pair_builders.ends import Ends, answer_of
from vqa_gs.pair_builders.table import ALIGNMENTS, SPARSE, PairTable

from vqa_gs.data.questions import ImageId, QuestionId

Picture = tuple[str, int, int]
"""A data address, width and height."""

# Where every region has a direction, so many of the longest are outlined.
_LONGEST = 5


def sample(table: PairTable, limit: int, seed: int) -> NDArray[np.int64]:
    """Chooses pairs to show: as many of each kind as there are, up to an equal share; in the table's order."""
    if len(table) <= limit:
        return np.arange(len(table))
    order = np.random.default_rng(seed).permutation(len(table))
    by_kind = np.argsort(table.kind[order], kind="stable")
    counts = np.bincount(table.kind, minlength=len(table.kinds))
    # How many of its kind come before a pair in the random order: low ranks first gives equal shares.
    rank = np.empty(len(table), np.int64)
    rank[order[by_kind]] = np.concatenate([np.arange(count) for count in counts])
    return np.sort(np.lexsort((order, rank))[:limit])


class Gallery:
    """Collects pairs for the page.

    Args:
        table: the pair table.
        ends: the questions its ends are in.
        store: regions of the images, for boxes and sizes; None: pairs are shown without regions.
        classes: what the regions are, None where it is not known.
        pictures: image id -> picture, None for one that cannot be had; None to show none.
    """

    def __init__(
        self,
        table: PairTable,
        ends: Ends,
        store: RegionStore | None = None,
        classes: RegionClasses | None = None,
        pictures: Mapping[ImageId, Picture | None] | None = None,
    ) -> None:
        self.table, self.ends, self.store, self.classes, self.pictures = table, ends, store, classes, pictures
        self._texts: dict[str, int] = {}  # texts occur often: they are numbered
        self._images: dict[ImageId, int] = {}
        self._shown: list[dict[str, Any]] = []

    def payload(self, pairs: NDArray[np.int64]) -> dict[str, Any]:
        """Returns some pairs, ready for JSON.

        Raises:
            DataError: a question or an image is in none of the files given, or a row names a region there is not.
        """
        rows = [self._pair(int(pair)) for pair in pairs]
        return {
            "kinds": list(self.table.kinds),
            "alignments": list(ALIGNMENTS),
            "total": len(self.table),
            "texts": list(self._texts),
            "images": self._shown,
            "rows": rows,
        }

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _pair(self, pair: int) -> dict[str, Any]:
        table = self.table
        ids = [table.question_a[pair], table.question_b[pair]]
        ids = [id.item() if isinstance(id, np.generic) else id for id in ids]
        for id in ids:
            self.ends.require(id, None, f"pair {pair}", "give the questions the table was built from")
        images = [self.ends.image(id) for id in ids]
        given = None if table.answer_b is None else table.answer_b[pair]
        annotation = self.ends.annotation(ids[0])
        regions = [self.store[image] for image in images] if self.store is not None else None
        distance = float(table.distance[pair])
        return {
            "n": pair,
            "k": int(table.kind[pair]),
            "t": self._text(annotation.question_type if annotation else "unknown"),
            "al": int(table.alignment[pair]),
            "w": round(float(table.weight[pair]), 4),
            "d": None if np.isnan(distance) else round(distance, 4),
            "e": [self._end(ids[0], images[0], None), self._end(ids[1], images[1], given)],
            "m": [[], []] if regions is None else self._marked(pair, regions),
        }

    def _end(self, id: QuestionId, image: ImageId, given: str | None) -> dict[str, Any]:
        question, annotation = self.ends.questions[self.ends.rows[id]], self.ends.annotation(id)
        end: dict[str, Any] = {"id": id, "q": question.question, "i": self._image(image)}
        if given is not None:
            return end | {"a": given, "new": True}
        if annotation is not None:
            counts = Counter(answer.answer for answer in annotation.answers).most_common()
            end |= {"a": answer_of(annotation), "g": [[self._text(text), count] for text, count in counts]}
        return end

    def _image(self, image: ImageId) -> int:
        number = self._images.get(image)
        if number is None:
            number = self._images[image] = len(self._shown)
            shown: dict[str, Any] = {"id": image}
            picture = None if self.pictures is None else self.pictures[image]
            if picture is not None:
                shown |= {"src": picture[0], "size": [picture[1], picture[2]]}
            if self.store is not None:
                regions = self.store[image]
                # Boxes are in the store's pixels: a picture of another size is stretched to them.
                shown["size"] = regions.size.tolist()
                shown["boxes"] = [[round(edge, 1) for edge in box] for box in regions.boxes.tolist()]
                if self.classes is not None:
                    shown["c"] = [self._text(self.classes.names[code]) for code in self.classes.of(image)]
            self._shown.append(shown)
        return number

    def _marked(self, pair: int, regions: list[Regions]) -> list[list[list[int]]]:
        """Returns for each end [region, number of its row]: regions in one row have one number and colour."""
        rows, keep = self.table.rows_of(pair), self.table.mask_of(pair)
        counts = [len(end.boxes) for end in regions]
        if keep is not None:
            gone = np.nonzero(~keep[: counts[1]])[0].tolist()
            return [[[region, number] for number, region in enumerate(gone)] for _ in regions]
        if self.table.alignment[pair] != SPARSE:
            rows = _longest(rows if len(rows) else np.stack([np.arange(min(counts))] * 2, 1), regions)
        marked: list[list[list[int]]] = [[], []]
        for number, row in enumerate(rows.tolist()):
            for end, region in enumerate(row):
                if 0 <= region < counts[end]:
                    marked[end].append([region, number])
        return marked


def _longest(rows: NDArray[np.int32], regions: list[Regions]) -> NDArray[np.int32]:
    """Returns the few rows with the longest directions, none of length zero."""
    fits = (rows[:, 0] < len(regions[0].boxes)) & (rows[:, 1] < len(regions[1].boxes))
    rows = rows[fits]
    ends = [np.where(rows[:, end, None] >= 0, regions[end].features[np.maximum(rows[:, end], 0)], 0) for end in (0, 1)]
    length = np.linalg.norm(ends[0] - ends[1], axis=1)
    order = np.argsort(-length, kind="stable")[:_LONGEST]
    return rows[order[length[order] > 0]]
