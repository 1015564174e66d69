"""Made-up images with label vectors: COCO instances, edits of them, pairs and their region store."""

from __future__ import annotations

import json

import numpy as np
from vqa_gs.features.writer import RegionStoreWriter

CATEGORIES = {3: "cat", 18: "dog", 20: "cow", 44: "cup"}
DIM, REGIONS = 6, 4


class Drawn:
    """Made-up images: region k shows class k if it is there; number 4 of a region's features tells the company."""

    def __init__(self, folder, rng):
        self.folder, self.rng, self.regions = folder, rng, {}

    def image(self, labels, company):
        features = self.rng.normal(0, 0.3, (REGIONS, DIM))
        features[np.arange(REGIONS), np.arange(REGIONS)] += 2.0 * labels
        features[:, 4] += company
        return features.astype(np.float32)

    def split(self, name, first, count, unseen=False):
        images, company = {}, self.rng.integers(2, size=count)
        for at in range(count):
            labels = np.array([company[at], company[at], 1 - company[at], self.rng.integers(2)], bool)
            if unseen:
                labels[:] = [True, False, True, at % 2]
            images[first + at] = labels
            self.regions[first + at] = self.image(labels, company[at])
        return self.write(name, images), images

    def edits(self, name, first, originals):
        images, pairs = {}, []
        for at, (original, labels) in enumerate(originals.items()):
            own, regions = labels.copy(), self.regions[original].copy()
            there = np.flatnonzero(labels)
            gone = there[at % len(there)]
            own[gone] = False
            regions[gone] = self.rng.normal(0, 0.3, DIM)
            images[first + at], self.regions[first + at] = own, regions
            pairs.append([original, first + at])
        (self.folder / f"{name}_pairs.json").write_text(json.dumps(pairs))
        return self.write(name, images), images

    def write(self, name, images):
        annotations = [
            {
                "id": 10 * image_id + at,
                "image_id": image_id,
                "category_id": category,
                "iscrowd": 0,
                "bbox": [0, 0, 1, 1],
            }
            for image_id, labels in images.items()
            for at, category in enumerate(CATEGORIES)
            if labels[at]
        ]
        content = {
            "images": [{"id": image_id} for image_id in images],
            "annotations": annotations,
            "categories": [{"id": number, "name": text} for number, text in CATEGORIES.items()],
        }
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(content))
        return str(file)

    def store(self):
        path = self.folder / "regions.h5"
        with RegionStoreWriter(path, dim=DIM, dtype="float32", fingerprint="made up") as writer:
            for image_id, features in self.regions.items():
                own = np.tile(np.float32([0, 0, 4, 4]), (REGIONS, 1))
                own[:, 0] = np.arange(REGIONS) / REGIONS
                writer.add(image_id, features, own, (8, 8))
        return str(path)
