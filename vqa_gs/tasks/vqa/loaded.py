"""A finished run that is asked about pictures: answers, where it looked, a picture of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, atomic_path
from vqa_gs.common.phases import LOG
from vqa_gs.data.normalize import tokenize
from vqa_gs.data.questions import Question, QuestionSet
from vqa_gs.features.held import HeldRegions
from vqa_gs.features.ids import id_of_text, name_of_file
from vqa_gs.features.joined import open_stores
from vqa_gs.features.layout import ImageId
from vqa_gs.features.naming import readings
from vqa_gs.features.store import Regions, RegionStore
from vqa_gs.pipeline.task import RunSettings
from vqa_gs.tasks.vqa.trained import Guess, TrainedModel

if TYPE_CHECKING:
    from PIL.Image import Image

    from vqa_gs.features.extract.again import Extractor

# A file, a picture, (height, width, 3) uint8, or regions that are known already.
Asked = Any

# Pictures described before the model is asked about them.
_AT_ONCE = 64


@dataclass(frozen=True)
class Looks:
    """Where a model looked.

    Attributes:
        boxes: (R, 4) float32, x1, y1, x2, y2 in pixels.
        attention: (R,) float32, adds up to 1; zeros for a model without attention.
        gradient: (R,) float32, the length of the gradient of the best answer's logit by each region.
        size: width and height of the image in pixels.
    """

    boxes: NDArray[np.float32]
    attention: NDArray[np.float32]
    gradient: NDArray[np.float32]
    size: tuple[int, int]


class LoadedModel(TrainedModel):
    """A finished run on visual questions.

    Wherever an image is asked for it may be a file, a picture of Pillow, an array (height, width, 3) of uint8, or
    `Regions` that are known already. Pictures are described as those of the run's store were.

    Args:
        folder: the run directory.
        settings: the run's settings.
        device: where to compute, see `choose_device`.
        how: what the store's fingerprint does not say, or what is wanted otherwise; fields of
            `vqa_gs.features.extract.again.Wishes`, such as ``boxes="table:boxes.json"``.

    Example::

        model = vqa_gs.load("runs/gs")
        model.answer("photo.jpg", "What color is the ball?", top=3)  # [Guess(answer='red', score=0.93), ...]
    """

    def __init__(self, folder: Path, settings: RunSettings, device: str = "auto", **how: Any) -> None:
        super().__init__(folder, settings, device)
        self._how = how

    def answer(self, image: Asked, question: str, top: int = 5) -> list[Guess]:
        """Answers one question.

        Args:
            image: see the class.
            question: the question.
            top: how many answers, at the most.

        Returns:
            The answers with the highest scores, the best first; a score is the sigmoid of the answer's logit.

        Raises:
            DataError: the picture is missing or broken, or the regions are not such as the run was trained on.
            UsageError: there is no question, or features as the run's cannot be made here.
        """
        return self.answer_many([image], [question], top)[0]

    def answer_many(self, images: Sequence[Asked], questions: Sequence[str], top: int = 5) -> list[list[Guess]]:
        """Answers n questions, each about the image at its place; see `answer`."""
        if len(images) != len(questions):
            raise UsageError(f"{len(images)} images and {len(questions)} questions", mend="give one image a question")
        found: list[list[Guess]] = []
        for start in range(0, len(questions), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            asked, store = self._about(images[part], questions[part])
            found += self.guesses(asked, store, top)
        return found

    def attention(self, image: Asked, question: str) -> Looks:
        """Returns where the model looks for its best answer; see `answer`."""
        asked, store = self._about([image], [question])
        file = self.ground(asked, store)
        regions = store[asked.image_ids[0]]
        width, height = (int(side) for side in regions.size)
        return Looks(regions.boxes, file.attention, file.gradient, (width, height))

    def plot(
        self, image: Asked, question: str, out: StrPath | None = None, top: int = 5, regions: Regions | None = None
    ) -> Image:
        """Draws where the model looks: attention and gradient on the boxes, answers below.

        Args:
            image: a file, a picture or an array.
            question: the question.
            out: a PNG to write.
            top: how many answers.
            regions: those of the image, where they are known already.

        Returns:
            The picture.
        """
        from vqa_gs.features.heat import draw_heat

        if isinstance(image, Regions):
            raise UsageError("regions alone cannot be drawn", mend="give the picture")
        picture, regions = self._opened(image)[0], self.describe(image) if regions is None else regions
        guesses, looks = self.answer(regions, question, top), self.attention(regions, question)
        drawn = draw_heat(
            picture, looks.boxes, {"attention": looks.attention, "gradient": looks.gradient}, question, guesses
        )
        if out is not None:
            with atomic_path(out) as temporary:
                drawn.save(temporary, format="PNG")
        return drawn

    def describe(self, image: Asked) -> Regions:
        """Returns the regions of an image, made as those of the run's store were; `Regions` as they are."""
        if isinstance(image, Regions):
            return image
        picture, name = self._opened(image)
        image_id: ImageId = id_of_text(name)
        boxes = None
        if self._extractor.source is None:
            boxes = self._known_boxes(name, picture.size)
        return self._extractor.describe(picture, image_id, boxes)

    def unknown_words(self, question: str) -> list[str]:
        """Returns the words of a question that no training question had."""
        return [word for word in tokenize(question) if word not in self.words.index]

    @cached_property
    def _extractor(self) -> Extractor:
        from vqa_gs.features.extract.again import Wishes, extractor_of

        made = extractor_of(self.fingerprint, Wishes(**{"device": str(self.device), **self._how}))
        for note in made.notes:
            LOG.info("note: %s", note)
        return made

    def _about(self, images: Sequence[Asked], questions: Sequence[str]) -> tuple[QuestionSet, RegionStore]:
        """Returns questions and their images' regions; an image that is asked about twice is described once."""
        rows: list[Question] = []
        held: dict[ImageId, Regions] = {}
        known: dict[Any, int] = {}
        for number, (image, question) in enumerate(zip(images, questions, strict=True)):
            if not question.strip():
                raise UsageError("there is no question", mend="ask something, as 'What color is the ball?'")
            key = str(image) if isinstance(image, str | Path) else id(image)
            row = known.setdefault(key, number)
            if row == number:
                held[row] = self.describe(image)
            rows.append(Question(number, row, question))
        return QuestionSet(rows, None, {}), HeldRegions(held, self.fingerprint)

    def _opened(self, image: Asked) -> tuple[Image, str]:
        """Returns a picture, upright RGB, and its name without suffix; "" where it has none."""
        from PIL import Image as pillow

        from vqa_gs.features.extract.images import load_image

        if isinstance(image, str | Path):
            return load_image(image), name_of_file(Path(image).name)
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise UsageError(
                    f"an array of shape {image.shape} and type {image.dtype} is no picture",
                    mend="give (height, width, 3) uint8, red first",
                )
            return pillow.fromarray(image), ""
        if isinstance(image, pillow.Image):
            return image.convert("RGB"), ""
        raise UsageError(
            f"a {type(image).__name__} is no image", mend="give a file, a picture of Pillow, an array, or Regions"
        )

    def _known_boxes(self, name: str, size: tuple[int, int]) -> NDArray[np.float32] | None:
        """Returns the boxes that the run's own store has of a picture of this name and size."""
        if not name:
            return None
        try:
            store = self._store
        except DataError:  # it need not be here any more
            return None
        for image_id in readings(name):
            if image_id in store:
                regions = store[image_id]
                if tuple(regions.size.tolist()) == size:
                    LOG.info("boxes: those of image %s in %s", image_id, store.path)
                    return regions.boxes
        return None

    @cached_property
    def _store(self) -> RegionStore:
        return open_stores(self.settings.data.stores())
