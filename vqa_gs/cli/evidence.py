"""The files `vqa-gs evaluate` looks at beside questions and answers."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
from jsonargparse import Namespace

from vqa_gs.cli.parsing import Parser
from vqa_gs.common.errors import UsageError
from vqa_gs.data.gqa import GqaSet
from vqa_gs.data.groups import Groups
from vqa_gs.data.pair_lists import read_pair_list
from vqa_gs.data.questions import QuestionId, read_annotations, read_question_set
from vqa_gs.eval.edited import EditedAnswers, edited_answers
from vqa_gs.eval.evidence import Evidence, Restricted
from vqa_gs.eval.grounding_file import (
    HINT_THRESHOLD,
    OVERLAP,
    Relevance,
    read_grounding,
    read_hints,
    read_relevant_boxes,
)
from vqa_gs.eval.metrics_file import read_metrics
from vqa_gs.eval.results import read_id_list, read_result_file, read_rows
from vqa_gs.pair_builders.table import read_pair_table


def named_files(option: str, values: Sequence[str]) -> dict[str, str]:
    """Splits `name=file` words of a repeated option."""
    named: dict[str, str] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals or not name or not file:
            raise UsageError(f"{option} {value!r} is not name=file")
        if name in named:
            raise UsageError(f"{option} names {name!r} twice", mend="give each a name of its own")
        named[name] = file
    return named


def add_evidence_arguments(parser: Parser) -> None:
    """Adds the options that `read_evidence` reads."""
    before = len(parser._actions)
    add = parser.add_argument
    add("--pairs", action="append", default=[], help="name=pairs.json or .h5, may be repeated")
    add("--train-annotations", type=str, default=None, help="training annotations, for the prior of each type")
    add("--in-domain", type=str, default=None, help="metrics file of the in-domain split, for the gap")
    add("--counterexamples", type=str, default=None, help="VQA-CE's counterexamples.json")
    add("--hard", type=str, default=None, help="VQA-CE's hard.json")
    add("--edited-kind", type=str, choices=["iv", "cv"], default=None, help="what the edits change: IV-VQA or CV-VQA")
    add("--edited-questions", type=str, default=None, help="questions about edits; ids may repeat")
    add("--edited-annotations", type=str, default=None, help="annotations of the edits")
    add("--edited-results", type=str, default=None, help="answers to the edits")
    add("--grounding", type=str, default=None, help="file of `vqa-gs predict --grounding`")
    add("--hints", type=str, default=None, help="scores by region, a pickle or JSON")
    add("--hint-threshold", type=float, default=HINT_THRESHOLD, help="a region matters from this score on")
    add("--relevant-boxes", type=str, default=None, help="JSON list of {question_id, boxes}, in pixels")
    add("--overlap", type=float, default=OVERLAP, help="a region matters from this overlap on")
    add("--relevant-results", type=str, default=None, help="answers of `predict --regions relevant`, for FPVG")
    add("--irrelevant-results", type=str, default=None, help="answers of `predict --regions irrelevant`")
    parser.titled("what else is looked at", *(action.dest for action in parser._actions[before:]))


def read_pairs(path: str) -> list[tuple[QuestionId, QuestionId]]:
    """Reads pairs of question ids from a JSON list or a pair table."""
    if not h5py.is_hdf5(path):
        return read_pair_list(path)[0]
    table = read_pair_table(path, require_pairs=True)
    return list(zip(table.question_a.tolist(), table.question_b.tolist(), strict=True))


def _together(given: Namespace, *options: str) -> bool:
    """Returns whether all of some options are given, and refuses some without the others."""
    present = [given[option] is not None for option in options]
    if any(present) and not all(present):
        raise UsageError(" and ".join(f"--{option.replace('_', '-')}" for option in options) + " go together")
    return all(present)


def _edited(given: Namespace) -> EditedAnswers | None:
    if not _together(given, "edited_kind", "edited_questions", "edited_annotations", "edited_results"):
        return None
    edits = read_question_set(given.edited_questions, given.edited_annotations, repeated_ids=True)
    return edited_answers(given.edited_kind, edits, read_rows(given.edited_results), given.edited_results)


def _restricted(given: Namespace) -> Restricted | None:
    options = "relevant_results", "irrelevant_results"
    if not _together(given, *options):
        return None
    return Restricted(*(read_result_file(given[option]).answers for option in options))


def _relevance(given: Namespace) -> Relevance | None:
    if given.hints and given.relevant_boxes:
        raise UsageError("--hints and --relevant-boxes both say which regions matter", mend="give one of them")
    if (given.hints or given.relevant_boxes) and not given.grounding:
        raise UsageError("the regions that matter are of no use alone", mend="give --grounding too")
    if given.hints:
        return read_hints(given.hints, given.hint_threshold)
    return read_relevant_boxes(given.relevant_boxes, given.overlap) if given.relevant_boxes else None


def read_evidence(given: Namespace, gqa: GqaSet | None) -> Evidence:
    """Reads all that the options name; what belongs to one results file alone is added by the caller."""
    lists = _together(given, "counterexamples", "hard")
    return Evidence(
        train=read_annotations(given.train_annotations) if given.train_annotations else None,
        pairs={name: read_pairs(file) for name, file in named_files("--pairs", given.pairs).items()},
        counterexamples=read_id_list(given.counterexamples) if lists else None,
        hard=read_id_list(given.hard) if lists else None,
        local_groups=gqa.local_groups if gqa else None,
        semantic_types=gqa.semantic_types if gqa else None,
        in_domain=read_metrics(given.in_domain) if given.in_domain else None,
        edited=_edited(given),
        grounding=read_grounding(given.grounding) if given.grounding else None,
        relevance=_relevance(given),
        restricted=_restricted(given),
        groups=Groups(global_groups=gqa.global_groups, common=gqa.common) if gqa else Groups(),
    )
