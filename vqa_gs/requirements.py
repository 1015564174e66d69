"""What a term of the loss may require of data, task and model, by name; `vqa_gs.contracts` says what each of them is.

Requirements are sets of short texts, so that a message can name them. No torch here: tasks and commands tell what is
there before a network is made.
"""

from __future__ import annotations

from collections.abc import Iterable

PAIRS = "pairs"  # of the data: counterfactual pairs
PRIOR = "the answer prior by question type"  # of the task: `TrainingStatistics.answer_prior`
ANOTHER_RUN = "what another run says of the training examples"  # of the task: `TrainingStatistics.said_by`
ANOTHER_PASS = "another forward pass"  # of model and task: `Outputs.again`
JOINT = "the joint vector"  # of the model: `ModelOutput.joint`
QUESTION = "the question vector"  # of the model: `ModelOutput.question`
IMAGE = "the mean of the regions"  # of the task: `Outputs.seen` and `ModelOutput.image`
ATTENTION = "the attention"  # of the model: `ModelOutput.attention`
TRACE = "the attention's trace"  # of the model: `ModelOutput.trace`
SHARED_IMAGES = "images shared by their questions"  # of the model: `VqaModel.answer_shared`


def gradient_by(name: str) -> str:
    """The requirement of a gradient by an input: ``regions``, ``attended``, ``question``, ``words``, ..."""
    return f"the gradient by {name}"


def direction_of(name: str) -> str:
    """The requirement of the direction between the two ends of a pair, in an input."""
    return f"the direction in {name}"


def missing(required: Iterable[str], provided: Iterable[str]) -> list[str]:
    """Returns what is required and not provided, gradients before the directions they are compared with."""
    return sorted(set(required) - set(provided), reverse=True)
