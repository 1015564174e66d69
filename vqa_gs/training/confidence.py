"""Answers of a trained model with how sure it is of them."""

from __future__ import annotations

from contextlib import closing

import torch

from vqa_gs.data.questions import QuestionSet
from vqa_gs.eval.results import Result
from vqa_gs.features.store import RegionStore
from vqa_gs.tasks.vqa.batches import inference_batches
from vqa_gs.tasks.vqa.examples import make_examples, require_images
from vqa_gs.training.inference import TrainedModel, require_dim


@torch.no_grad()
def predict_rows(
    trained: TrainedModel, questions: QuestionSet, store: RegionStore, batch_size: int = 512, scores: bool = False
) -> list[Result]:
    """Answers questions, as the rows of a result file.

    Args:
        trained: the run.
        questions: the questions; where their ids repeat (edited images), each row names its image.
        store: the regions of their images.
        batch_size: questions at once.
        scores: tell for each answer its probability (the sigmoid of its logit, which is what training fits to the
            share of annotators), and the entropy in nats of the softmax over all answers.

    Raises:
        DataError: an image is not in the store, or the store's regions have another dimension.
    """
    require_dim(store, trained.model.region_dim)
    require_images(questions, store)
    examples = make_examples(questions, trained.words, None, trained.config.data.question_length)
    device = next(trained.model.parameters()).device
    repeated = len(set(questions.question_ids)) < len(questions)
    rows: list[Result] = []
    with closing(inference_batches(examples, store, batch_size)) as batches:
        for _, regions, tokens in batches:
            there = regions.to(device)
            logits = trained.model(there.features, there.boxes, there.sizes, there.mask, tokens.to(device)).logits
            best, labels = logits.double().max(1)
            sure = best.sigmoid().tolist()
            shares = torch.log_softmax(logits.double(), 1)
            entropy = -(shares.exp() * shares).sum(1)
            for label, score, spread in zip(labels.tolist(), sure, entropy.clamp_min(0).tolist(), strict=True):
                question = questions.questions[len(rows)]
                rows.append(
                    Result(
                        question.question_id,
                        trained.answers.answers[label],
                        score if scores else None,
                        spread if scores else None,
                        question.image_id if repeated else None,
                    )
                )
    return rows
