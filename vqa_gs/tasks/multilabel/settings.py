"""Where the data of a run on multi-label images are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vqa_gs.common.checks import at_least
from vqa_gs.common.errors import UsageError


@dataclass
class LabelData:
    """Where a multi-label task's data are and how they become examples.

    Edited images' labels are COCO instances, or a list of [original image id, edited image id] with IV-VQA's ids, which
    say what was removed: such a list may stand for a file of instances in ``edited`` and ``tests``.

    Attributes:
        train: COCO instances of the originals to train on; its categories are the classes.
        features: region store of all images, made by ``vqa-gs features``.
        iid_val: COCO instances held out from training; epochs are chosen by mAP on all of them together. None named:
            a share of the training images is held out, and of the pairs theirs are left out.
        val_fraction: that share.
        edited_features: region store of the edited images, where they are in one of their own.
        tests: COCO instances (of edited images: or a list) of splits by name, looked at once, after training.
        unseen: further splits by name: the images of another one of ``tests`` whose combination of labels neither
            ``train`` nor ``edited`` has ("hard edited").
        edited: the labels of the edited training images.
        pairs: files of [original image id, edited image id].
        partners: ``edited`` pairs an original with its own edit; ``shuffled`` is the control that deals the edited
            images out anew.
        max_pairs: use only the first so many pairs; 0 uses all.
        test_selection: ``refused``, or ``acknowledged`` to let iid_val share images with a test split.
    """

    train: str
    features: str
    iid_val: list[str] = field(default_factory=list)
    val_fraction: float = 0.1
    edited_features: str | None = None
    tests: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)
    edited: str | None = None
    pairs: list[str] = field(default_factory=list)
    partners: Literal["edited", "shuffled"] = "edited"
    max_pairs: int = 0
    test_selection: Literal["refused", "acknowledged"] = "refused"

    def __post_init__(self) -> None:
        at_least(self, "data", 0, "max_pairs")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"data.val_fraction must be between 0 and 1, not {self.val_fraction}")
        if self.pairs and self.edited is None:
            raise UsageError("data.pairs need the labels of the edited images", mend="name their file in data.edited")
        for name, of in self.unseen.items():
            if name in self.tests:
                raise UsageError(f"data.unseen and data.tests both have a split {name!r}", mend="rename one")
            if of not in self.tests:
                raise UsageError(f"data.unseen: {name!r} is of {of!r}, which data.tests does not have")

    def stores(self) -> list[str]:
        """Returns the region stores, which a run records one hash for, under the first one's name."""
        return [self.features, *([self.edited_features] if self.edited_features else [])]

    def files(self) -> list[str]:
        """Returns the files a run reads."""
        edited = [self.edited] if self.edited else []
        return [*self.stores(), self.train, *edited, *self.iid_val, *self.tests.values(), *self.pairs]
