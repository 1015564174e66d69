"""`vqa-gs ask`: a question about a picture, answered by a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_gs.cli.parsing import new_parser
from vqa_gs.common.errors import UsageError


def run(words: Sequence[str]) -> None:
    """Prints a model's answers to a question about a picture."""
    parser = new_parser(
        "ask",
        "Ask a trained model a question about a picture.",
        'vqa-gs ask --run runs/gs --image photo.jpg "What color is the ball?" --plot looked.png',
    )
    add = parser.add_argument
    add("question", type=str, help="the question, in quotation marks")
    add("--run", type=str, required=True, help="run directory")
    add("--image", type=str, required=True, help="the picture")
    add("--top", type=int, default=5, help="answers to tell")
    add("--plot", type=str, default=None, help="PNG to write: attention and gradient on the boxes")
    add(
        "--boxes",
        type=str,
        default=None,
        help="where boxes come from, where the run's came from a file, or to have others: table:BOXES.json,"
        " coco:INSTANCES.json, store:REGIONS.h5, grid, ...",
    )
    add("--regions", type=str, default=None, help="how many, with --boxes: 36, or 10-100")
    add("--weights", type=str, default=None, help="weights of the backbone, where the run's were of a file")
    add("--detector-weights", type=str, default=None, help="weights of a detector that gives the boxes")
    add("--edge-model", type=str, default=None, help="model of structured edges, for edge-boxes")
    add("--allow-other-features", action="store_true", help="go on where features are made otherwise than the run's")
    add("--allow-download", action="store_true", help="let timm and torchvision fetch weights")
    add("--device", type=str, default="auto", help="auto, cpu, cuda or cuda:n; auto takes CUDA where there is one")
    given = parser.parse_args(list(words))
    if given.top < 1:
        raise UsageError(f"--top must be at least 1, not {given.top}")

    from vqa_gs.common.phases import LOG
    from vqa_gs.tasks.vqa.loaded import LoadedModel
    from vqa_gs.training.opened import load

    model = load(
        given.run,
        given.device,
        boxes=given.boxes,
        regions=given.regions,
        weights=given.weights,
        detector_weights=given.detector_weights,
        edge_model=given.edge_model,
        allow_download=given.allow_download,
        allow_other=given.allow_other_features,
    )
    if not isinstance(model, LoadedModel):
        task = model.settings.task
        raise UsageError(f"{given.run} learnt the task {task}, which answers no questions about images")
    unknown = model.unknown_words(given.question)
    regions = model.describe(given.image)
    for guess in model.answer(regions, given.question, given.top):
        print(f"{100 * guess.score:5.1f} %  {guess.answer}")
    if unknown:
        LOG.info("note: no training question has the word%s %s", "s" if len(unknown) > 1 else "", ", ".join(unknown))
    if given.plot:
        model.plot(given.image, given.question, given.plot, given.top, regions)
        print(given.plot)
