"""What world to write, and how its images are numbered."""

from __future__ import annotations

from dataclasses import dataclass

from vqa_gs.common.errors import UsageError

SPLITS = ("train", "iid_val", "ood_test")
EDITED = "edited"

FIRST_ID = {"train": 100_000, "iid_val": 200_000, "ood_test": 300_000, EDITED: 900_000}
_MAX_IMAGES = 100_000


@dataclass(frozen=True)
class WorldSettings:
    """What world to write.

    Attributes:
        train_images: images of the training split.
        iid_val_images: images of the in-domain split, drawn like training.
        ood_test_images: images of the test split, whose priors are turned over.
        two_questions: share of the images that carry two questions; the others carry one.
        prior_strength: how often training gives a question's preferred answer; the test gives it one minus
            that.
        edits: how many training questions get an edited image. The first n edits do not depend on this
            number.
        seed: the world's seed.
    """

    train_images: int = 1500
    iid_val_images: int = 350
    ood_test_images: int = 650
    two_questions: float = 0.35
    prior_strength: float = 0.9
    edits: int = 200
    seed: int = 0

    def images(self, split: str) -> int:
        """Returns how many images a split has."""
        counts = {
            "train": self.train_images,
            "iid_val": self.iid_val_images,
            "ood_test": self.ood_test_images,
            EDITED: self.edits,
        }
        return counts[split]

    def questions(self, split: str) -> int:
        """Returns how many questions a split has."""
        images = self.images(split)
        return images if split == EDITED else images + round(images * self.two_questions)

    def check(self) -> None:
        """Raises `UsageError` if the settings make no world."""
        for split in SPLITS:
            if not 1 <= self.images(split) < _MAX_IMAGES:
                raise UsageError(f"{split}_images is {self.images(split)}", mend=f"1 to {_MAX_IMAGES - 1} will do")
        if not 0 <= self.edits <= self.questions("train"):
            raise UsageError(
                f"edits is {self.edits}, training has {self.questions('train')} questions",
                mend="edit each at most once",
            )
        if not 0 <= self.two_questions <= 0.8:
            raise UsageError(f"two_questions is {self.two_questions}", mend="0 to 0.8 will do")
        if not 0 <= self.prior_strength <= 1:
            raise UsageError(f"prior_strength is {self.prior_strength}", mend="it is a probability, 0 to 1")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}", mend="0 or more will do")
