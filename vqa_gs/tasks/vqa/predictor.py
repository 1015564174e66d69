"""What a model says of questions, in batches: logits for scoring, answers with how sure they are, where it looks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqa_gs.contracts import (
    SHARED_IMAGES,
    ModelOutput,
    Objective,
    Seen,
    asked,
    direction_of,
    gradient_by,
    input_gradient,
)
from vqa_gs.data.questions import QuestionId
from vqa_gs.eval.grounding_file import GroundingFile
from vqa_gs.features.store import RegionBatch, RegionStore
from vqa_gs.models.vqa_model import Encoded, VqaModel, seeing
from vqa_gs.objectives.choices import Variant
from vqa_gs.objectives.decision import cosine, end_decision
from vqa_gs.pipeline.region_batches import SharedRows, image_batches, shared_batches
from vqa_gs.tasks.vqa.batches import BatchReader, PairedExamples
from vqa_gs.tasks.vqa.encoded_ahead import encoded_ahead
from vqa_gs.tasks.vqa.examples import Examples
from vqa_gs.tasks.vqa.forward import forward

_PAIRS = 64


class Predictor:
    """A model that is asked, not trained. Whatever is asked, the model's mode is left as it was.

    Args:
        model: the network, on its device.
        terms: of the loss, on the same device, which may have a say in the logits, see `Objective.at_test`.
        bf16: multiply in bfloat16; None leaves that to whoever calls. Gradients are taken in float32 all the same.
        share: let so many questions share an image in `outputs`, where the model can; 0: each has its own. It saves
            reading and projecting an image anew for each question, and moves logits by rounding.
    """

    def __init__(
        self, model: VqaModel, terms: Collection[Objective] = (), bf16: bool | None = None, share: int = 0
    ) -> None:
        self.model, self.terms, self.bf16 = model, terms, bf16
        self.let_share(share)
        self.device = next(model.parameters()).device

    def let_share(self, most: int) -> None:
        """Lets so many questions share an image from now on, where the model can."""
        self.share = most if SHARED_IMAGES in self.model.provides(self.model.settings) else 0

    def outputs(
        self, examples: Examples, store: RegionStore, batch_size: int, rank: int = 0, world: int = 1
    ) -> Generator[tuple[NDArray[np.int64], ModelOutput], None, None]:
        """Yields rows and what the model says of them; of several processes, each gets a share.

        Every row comes once: in order, or where images are shared those of one image together.
        """

        def ask(regions: RegionBatch, tokens: Tensor, types: Tensor) -> ModelOutput:
            with torch.no_grad(), self._precision():
                out = self.model(regions.features, regions.boxes, regions.sizes, regions.mask, tokens)
                return asked(self.terms, out, types)

        if self.share:
            yield from self._shared_outputs(examples, store, batch_size, rank, world)
            return
        for rows, _, out in self._batches(ask, examples, store, batch_size, rank, world):
            yield rows, out

    def _shared_outputs(
        self, examples: Examples, store: RegionStore, batch_size: int, rank: int, world: int
    ) -> Generator[tuple[NDArray[np.int64], ModelOutput], None, None]:
        images = list(examples.image_ids)
        plan = SharedRows(images, batch_size, self.share)

        def encode(tokens: Tensor) -> Encoded:
            with self._asked(), torch.no_grad(), self._precision():
                return self.model.encode_tokens(tokens.to(self.device))

        questions = encoded_ahead(
            encode, examples.tokens, [plan.rows(number) for number in range(rank, plan.batches, world)]
        )
        with closing(shared_batches(plan, images, store, rank, world)) as batches:
            for (rows, regions, sharing), question in zip(batches, questions, strict=True):
                on, types = regions.to(self.device), torch.from_numpy(examples.question_type[rows]).to(self.device)
                with self._asked(), torch.no_grad(), self._precision():
                    out = self.model.answer_encoded(
                        on.features, on.boxes, on.sizes, on.mask, question, sharing.to(self.device)
                    )
                    out = asked(self.terms, out, types)
                yield rows, out

    def regions(
        self, examples: Examples, store: RegionStore, ids: Sequence[QuestionId], batch_size: int = 512
    ) -> GroundingFile:
        """Computes attention and gradient of every region of every question's image.

        Args:
            examples: n questions.
            store: the regions of their images.
            ids: the n question ids.
            batch_size: questions at once.

        Returns:
            The content of a grounding file, without pairs. The gradient of a region is the length of the gradient, by
            that region's vector as `VqaModel.answer` sees it, of the predicted answer's logit. A model without
            attention, or whose answers do not depend on the regions, has zeros.
        """
        attention, gradient, boxes, counts = [], [], [], []

        def ask(regions: RegionBatch, tokens: Tensor, types: Tensor) -> tuple[Tensor, Tensor]:
            model = self.model
            with torch.no_grad():
                question = model.encode_tokens(tokens)
                prepared = model.prepare_regions(regions.features, regions.boxes, regions.sizes, regions.mask)
            leaf = prepared.detach().requires_grad_()
            with torch.enable_grad():
                seen = seeing(model.answer(leaf, regions.mask, question), Seen(leaf, regions.mask))
                out = asked(self.terms, seen, types)
                score = out.logits.max(1).values
                by_region = None
                if score.requires_grad:
                    (by_region,) = torch.autograd.grad(score.sum(), leaf, allow_unused=True)
            zeros = torch.zeros(regions.mask.shape)
            weights = zeros if out.attention is None else out.attention.detach()
            lengths = zeros if by_region is None else torch.linalg.vector_norm(by_region.float(), dim=-1)
            return weights.cpu(), lengths.cpu()

        for _, regions, (weights, lengths) in self._batches(ask, examples, store, batch_size):
            mask = regions.mask
            attention.append(weights[mask].numpy())
            gradient.append(lengths[mask].numpy())
            boxes.append(regions.boxes[mask].numpy().copy())
            counts.append(regions.counts.numpy().copy())
        return GroundingFile(
            ids,
            np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
            np.concatenate(attention),
            np.concatenate(gradient),
            np.concatenate(boxes),
        )

    def alignment(self, data: PairedExamples, store: RegionStore, variant: Variant) -> NDArray[np.float32]:
        """Computes the cosine of the decision's gradient by the regions with the direction, at both ends of pairs.

        Args:
            data: questions and pairs of them.
            store: the regions of their images.
            variant: the decision function.

        Returns:
            (P, 2), NaN where it means nothing, as for a model without the gradient by regions.
        """
        if gradient_by("regions") not in self.model.provides(self.model.settings):
            return np.full((len(data.pair_rows), 2), np.nan, np.float32)
        reader, none = BatchReader(data, store), np.empty(0, np.int64)
        required = frozenset({gradient_by("regions"), direction_of("regions")})
        found = []
        with self._asked(), torch.enable_grad():
            for start in range(0, len(data.pair_rows), _PAIRS):
                pairs = np.arange(start, min(start + _PAIRS, len(data.pair_rows)))
                ends = forward(self.model, reader.read(none, pairs).to(self.device), required).ends
                assert ends is not None
                score, valid = end_decision(ends, variant)
                gradient = input_gradient(score, ends.inputs["regions"], create_graph=False)
                cosines, moves = cosine(gradient, ends.directions["regions"])
                known = torch.where(valid & moves, cosines.float(), float("nan"))
                found.append(known.detach().cpu().numpy().reshape(2, len(pairs)).T.copy())
        return np.concatenate(found)

    def _batches(
        self,
        ask: Callable[[RegionBatch, Tensor, Tensor], Any],
        examples: Examples,
        store: RegionStore,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
    ) -> Generator[tuple[NDArray[np.int64], RegionBatch, Any], None, None]:
        """Yields rows, their regions on the CPU, and what ``ask`` makes of regions, tokens, types on the device."""
        with closing(image_batches(list(examples.image_ids), store, batch_size, rank, world)) as batches:
            for rows, regions in batches:
                with self._asked():
                    answer = ask(regions.to(self.device), *self._questions(examples, rows))
                yield rows, regions, answer

    def _questions(self, examples: Examples, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Returns tokens and question types of some rows, on the device."""
        tokens = examples.tokens[torch.from_numpy(rows)].to(self.device)
        return tokens, torch.from_numpy(examples.question_type[rows]).to(self.device)

    @contextmanager
    def _asked(self) -> Generator[None, None, None]:
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(was_training)

    def _precision(self) -> Any:
        if self.bf16 is None:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)
