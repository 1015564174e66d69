"""`vqa-gs data`: what a set of questions holds, questions of one's own from a table, questions asked again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from vqa_gs.cli.data_propagate import propagate
from vqa_gs.cli.parsing import dispatch, new_parser
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.phases import phase
from vqa_gs.common.terminal import page
from vqa_gs.data.check import PUBLISHED_MIN_QUESTIONS, DataCheck, check_data

_NAMED = 5


def _lines(found: DataCheck) -> list[tuple[str, str]]:
    rows = [("questions", f"{found.questions:,}"), ("images", f"{found.images:,}")]
    if found.halves:
        rows.append(
            ("halves of COCO", ", ".join(f"{half} {count:,} questions" for half, count in found.halves.items()))
        )
    if found.repeated:
        rows.append(("repeated ids", f"{found.repeated:,} questions: those of edits may be, training refuses them"))
    if found.answers is not None:
        shares = ", ".join(f"{name} {share:.2f} %" for name, share in found.answer_types.items())
        rows += [
            ("answers", f"{found.answers:,}"),
            ("answer types", shares),
            ("question types", f"{found.question_types:,}"),
        ]
    if found.without_type:
        rows.append(
            (
                "without a question type",
                f'{found.without_type:,} questions, of the type "" or none; `evaluate` assigns VQA\'s by first words,'
                " training takes them as one type",
            )
        )
    if found.vocabulary is not None:
        rows.append(
            ("vocabulary", f"{found.vocabulary:,} answers of at least {found.min_questions} training questions")
        )
    if found.upper_bound is not None:
        rows.append(("upper bound", f"{found.upper_bound:.2f} % (official), by the best answer of the vocabulary"))
    if found.missing is not None:
        some = f": {', '.join(map(str, found.missing[:_NAMED]))}, ..." if found.missing else ""
        rows += [
            ("images without features", f"{len(found.missing):,}{some}"),
            ("features no question is about", f"{found.unused:,} images"),
        ]
    return [*rows, ("recognised", found.recognised)]


def check(words: Sequence[str]) -> None:
    """Looks a set of questions through, and says which published set it is."""
    from vqa_gs.common.files import write_json
    from vqa_gs.data.gqa import is_gqa, read_gqa
    from vqa_gs.data.questions import read_annotations, read_question_set

    parser = new_parser(
        "data check",
        "Tell what a set of questions holds, and whether the papers used it.",
        "vqa-gs data check --questions Q.json --annotations A.json --features regions.h5",
    )
    add = parser.add_argument
    add("--questions", type=str, required=True, help="questions JSON")
    add("--annotations", type=str, default=None, help="annotations JSON")
    add("--train-annotations", type=str, default=None, help="of the training split, where this is another one")
    add("--features", type=str, default=None, help="region store of the images")
    add(
        "--min-questions",
        type=int,
        default=PUBLISHED_MIN_QUESTIONS,
        help="an answer enters the vocabulary with so many",
    )
    add("--out", type=str, default=None, help="JSON file for what was found")
    given = parser.parse_args(list(words))
    if given.min_questions < 1:
        raise UsageError(f"--min-questions must be at least 1, not {given.min_questions}")
    if given.train_annotations and not given.annotations:
        raise UsageError("--train-annotations needs --annotations")
    with phase("reading the questions"):
        if is_gqa(given.questions):
            questions = read_gqa(given.questions).questions
        else:
            questions = read_question_set(given.questions, given.annotations, repeated_ids=True)
        train = read_annotations(given.train_annotations) if given.train_annotations else None
    stored = None
    if given.features:
        from vqa_gs.features.store import RegionStore

        with RegionStore(given.features) as store:
            stored = set(store.image_ids)
    with phase("counting"):
        found = check_data(questions, stored, train, given.min_questions)
    if given.out:
        write_json(given.out, {"sources": questions.sources, **asdict(found)})
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in _lines(found):
        table.add_row(name, text)
    page().print(table)
    if found.missing:
        raise DataError(
            f"{len(found.missing):,} of {found.images:,} images have no features"
            + (f"; {found.missing_note}" if found.missing_note else ""),
            file=given.features,
            record=f"image {found.missing[0]!r}",
            mend="name the store of all images",
        )


def from_csv(words: Sequence[str]) -> None:
    """Makes questions and annotations of a table."""
    from vqa_gs.data.from_table import ANNOTATORS, read_table
    from vqa_gs.data.write_questions import write_question_set
    from vqa_gs.features.extract.listing import list_images
    from vqa_gs.features.naming import Naming

    parser = new_parser(
        "data from-csv",
        "Make VQA v2's files of a table: a row a question, a column an answer.",
        "vqa-gs data from-csv answers.csv --images photos --out data",
    )
    add = parser.add_argument
    add("table", type=str, help="CSV or TSV with columns image, question, and answer or answer_1 to answer_10")
    add("--images", type=str, required=True, help="folder of the images, searched at any depth")
    add("--out", type=str, required=True, help="folder for questions.json and annotations.json")
    add("--ids", type=str, default="auto", help="ids of the images, as for `features extract`")
    given = parser.parse_args(list(words))
    folder = Path(given.images)
    if not folder.is_dir():
        raise DataError("no such folder of images", file=folder, mend="name the folder that holds the pictures")
    naming = Naming(given.ids)
    listed = list_images(folder, given.ids, naming)
    ids = {Path(path).relative_to(folder).as_posix(): image_id for image_id, path, _ in listed}
    questions = read_table(given.table, ids)
    out = Path(given.out)
    files = out / "questions.json", out / "annotations.json"
    head = {
        "info": {"description": f"made of {Path(given.table).name}"},
        "task_type": "Open-Ended",
        "data_type": "",
        "data_subtype": "",
        "license": {},
    }
    write_question_set(questions, *files, head=head)
    assert questions.annotations is not None
    found = check_data(questions, set(ids.values()), min_questions=1)
    print("\n".join(naming.lines()), file=sys.stderr)
    counts = sorted({len(annotation.answers) for annotation in questions.annotations})
    print(
        f"{files[0]}, {files[1]}: {found.questions:,} questions of {found.question_types:,} types about"
        f" {found.images:,} of {len(ids):,} images"
    )
    if counts == [1]:
        print("one answer each: score by exact match, as `--scoring exact-normalized`")
    elif counts != [ANNOTATORS]:
        told = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        print(f"note: {told} answers a question; the official score is meant for {ANNOTATORS}", file=sys.stderr)


def run(words: Sequence[str]) -> None:
    """Runs a sub-command."""
    dispatch("data", {"check": check, "from-csv": from_csv, "propagate": propagate}, words)
