"""What stands behind the scores, question by question: predictions read again, scored again, checked against them.

A metrics file names the questions and annotations it was made from, with their hashes. Where these files are
still there, and a run still has its predictions, a report can tell more than means: intervals, answer
distributions, examples. Everything that cannot be used is told as a reason, never left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.evaluate import score_answers
from vqa_gs.eval.question_types import with_question_types
from vqa_gs.eval.report_content.verdicts import OTHER_LOOKS
from vqa_gs.eval.results import read_id_list, read_result_file
from vqa_gs.eval.rules import RULES
from vqa_gs.eval.runs import MEAN_AVERAGE_PRECISION, SUBSET, RunSummary, flatten

from vqa_gs.common.errors import VqaGsError
from vqa_gs.common.files import StrPath, sha256_file
from vqa_gs.common.phases import phase
from vqa_gs.data.asked_set import read_asked
from vqa_gs.data.edited import photograph_of
from vqa_gs.data.gqa import is_gqa, read_gqa
from vqa_gs.data.json_files import GZIP_MAGIC
from vqa_gs.data.labelled_texts import read_labelled_set
from vqa_gs.data.normalize import answer_form
from vqa_gs.data.questions import ImageId, QuestionId, QuestionSet, read_question_set
from vqa_gs.data.vocabulary import AnswerVocabulary

Codes = npt.NDArray[np.int32]

UNANSWERED = -1


class Lexicon:
    """Numbers for texts, in the order of their first appearance."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Returns the number of a text, a new one if it is new."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found

    def codes(self, texts: Sequence[str]) -> Codes:
        """Returns int32 (n,): the number of each text."""
        return np.fromiter((self.number(text) for text in texts), np.int32, len(texts))


@dataclass(frozen=True)
class SplitRecords:
    """One split's questions with the answers and scores of the runs, n questions and k runs.

    Attributes:
        split: the split's name.
        folders: the runs' folders, in the order of the rows of ``scores``.
        scores: float32 (k, n), accuracies in 0..1 under the rule of the metrics files.
        predicted: int32 (k, n) into ``lexicon``, -1 where a run gave no answer.
        truth: int32 (n,) into ``lexicon``, the normalised majority answer.
        answer_type: int32 (n,) into ``answer_types``.
        question_type: int32 (n,) into ``question_types``.
        image: int32 (n,), equal for questions about one image.
        subsets: bool (n,) by name, of those whose lists are still there.
        answer_types: names.
        question_types: names.
        lexicon: normalised answers.
    """

    split: str
    folders: tuple[Path, ...]
    scores: npt.NDArray[np.float32]
    predicted: Codes
    truth: Codes
    answer_type: Codes
    question_type: Codes
    image: Codes
    answer_types: tuple[str, ...]
    question_types: tuple[str, ...]
    lexicon: tuple[str, ...]
    subsets: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def row(self, run: RunSummary) -> int | None:
        """Returns a run's row in ``scores``, None if it has none."""
        return self.folders.index(run.folder) if run.folder in self.folders else None


@dataclass
class Records:
    """All records of some runs.

    Attributes:
        splits: by split name.
        reasons: why something is not there, a sentence each.
    """

    splits: dict[str, SplitRecords] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


Look = Callable[[SplitRecords, QuestionSet], None]


def find_source(path: str, sha256: str, search: Path | None) -> Path:
    """Returns where a recorded file lies now.

    Args:
        path: as it was recorded.
        sha256: its recorded hash, "" if it is not known: then it is looked for in ``search`` alone, because whoever
            wrote the record could name any file.
        search: a folder in which to look for a file of that name as well.

    Raises:
        FileNotFoundError: no such file; the message says what was found instead.
    """
    changed = False
    for candidate in [*([Path(path)] if sha256 else []), *([search / Path(path).name] if search else [])]:
        if not candidate.is_file():
            continue
        if not sha256 or sha256_file(candidate) == sha256:
            return candidate
        changed = True
    if not sha256:
        raise FileNotFoundError(f"the hash of {path} is not recorded, so it is not read but from --data-dir")
    raise FileNotFoundError(f"{path} {'is not the file it was' if changed else 'is not there'}")


def find_predictions(run: RunSummary, split: str, search: Path | None) -> Path:
    """Returns a run's predictions on a split: in its folder, else the results its metrics were made from.

    Raises:
        FileNotFoundError: there are none.
    """
    own = run.folder / "predictions" / f"{split}.json"
    if own.is_file():
        return own
    source = run.metrics[split].sources.get("results")
    if source is None:
        raise FileNotFoundError(f"{own} is not there")
    return find_source(source.path, source.sha256, search)


def _read_questions(run: RunSummary, split: str, search: Path | None) -> QuestionSet:
    """Reads the questions and annotations a run was scored on, with their types."""
    sources = run.metrics[split].sources
    files = [
        find_source(sources[name].path, sources[name].sha256, search)
        for name in ("questions", "annotations")
        if name in sources
    ]
    form = run.metrics[split].form
    if form is not None:
        names = [name for name in ("questions", "annotations") if name in sources]
        named: dict[str, StrPath] = dict(zip(names, files, strict=True))
        return with_question_types(read_asked(form, named, run.metrics[split].form_options).questions)[0]
    if _is_of_texts(files[0]):
        return read_labelled_set(files, AnswerVocabulary.load(run.folder / "answers.json").answers)
    questions = read_gqa(files[0]).questions if is_gqa(files[0]) else read_question_set(*files)
    return with_question_types(questions)[0]


def _read_subsets(
    run: RunSummary, split: str, ids: Sequence[QuestionId], search: Path | None, records: Records
) -> dict[str, npt.NDArray[np.bool_]]:
    """Reads which questions are in the subsets a run was scored on, as its settings or its metrics name them."""
    settings = flatten(run.config)
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for name, scored in run.metrics[split].subsets.items():
        of_split = OTHER_LOOKS.sub("", split)
        listed = (f"data.{place}{of_split}.subsets.{name}" for place in ("tests.", ""))
        file = next((settings[key] for key in listed if isinstance(settings.get(key), str)), None)
        recorded = run.metrics[split].sources.get(SUBSET + name)
        file = recorded.path if recorded and recorded.sha256 else file
        if file is None:
            continue
        try:
            # No hash is known of these lists; but of a list of ids nothing is shown, only which questions are in it.
            places = [Path(file), *([search / Path(file).name] if search else [])]
            inside = set(read_id_list(next((place for place in places if place.is_file()), file)))
        except VqaGsError as error:
            records.reasons.append(f"No intervals over questions of {name} on {split}: {error}.")
            continue
        mask = np.array([question_id in inside for question_id in ids], np.bool_)
        if int(mask.sum()) == scored.questions:
            found[name] = mask
        else:
            records.reasons.append(
                f"No intervals over questions of {name} on {split}: {file} is not the list it was scored on."
            )
    return found


def _is_of_texts(file: Path) -> bool:
    """Whether a file is a table of labelled texts, which begins with the names of its columns, and no JSON or gzip."""
    with open(file, "rb") as content:
        first = content.readline(1 << 16)
    packed = first.startswith(GZIP_MAGIC)
    return b"\t" in first and not packed and not first.lstrip(b"\xef\xbb\xbf \t").startswith((b"[", b"{"))


def _read_split(
    split: str,
    scoring: str,
    runs: Sequence[RunSummary],
    search: Path | None,
    records: Records,
    look: Look,
    advance: Callable[[int], None],
) -> None:
    try:
        questions = _read_questions(runs[0], split, search)
    except (FileNotFoundError, VqaGsError) as error:
        records.reasons.append(f"No answer distributions and no examples of {split}: {error}.")
        return
    annotations, ids = questions.annotations, questions.question_ids
    assert annotations is not None
    form, lexicon = answer_form(scoring), Lexicon()
    truth = lexicon.codes([form(annotation.majority) for annotation in annotations])
    kept, scores, predicted = [], [], []
    for run in runs:
        advance(1)
        try:
            file = find_predictions(run, split, search)
            answers = read_result_file(file, ids, allow_missing=True, allow_extra=True).answers
            own = score_answers(questions, answers, scoring, allow_missing=True)
        except (FileNotFoundError, VqaGsError) as error:
            records.reasons.append(f"No examples of “{run.name}” on {split}: {error}.")
            continue
        overall = run.metrics[split].overall
        if overall is None or abs(100 * own.mean() - overall) > 1e-6:
            records.reasons.append(
                f"No examples of “{run.name}” on {split}: {file} scores {100 * own.mean():.2f} %, its metrics say "
                f"{'nothing' if overall is None else f'{overall:.2f} %'}."
            )
            continue
        kept.append(run.folder)
        scores.append(own.astype(np.float32))
        given = [answers.get(question_id) for question_id in ids]
        codes = [UNANSWERED if answer is None else lexicon.number(form(answer)) for answer in given]
        predicted.append(np.array(codes, np.int32))
    if not kept:
        return
    types, kinds = Lexicon(), Lexicon()
    images: dict[ImageId, int] = {}
    answer_type = types.codes([annotation.answer_type for annotation in annotations])
    question_type = kinds.codes([annotation.question_type for annotation in annotations])
    image = np.array(
        [images.setdefault(image_id, len(images)) for image_id in map(photograph_of, questions.image_ids)], np.int32
    )
    found = SplitRecords(
        split,
        tuple(kept),
        np.stack(scores),
        np.stack(predicted),
        truth,
        answer_type,
        question_type,
        image,
        tuple(types.texts),
        tuple(kinds.texts),
        tuple(lexicon.texts),
        _read_subsets(runs[0], split, ids, search, records),
    )
    records.splits[split] = found
    look(found, questions)


def _groups(runs: Sequence[RunSummary], split: str) -> list[RunSummary]:
    """Returns the runs that were scored on the same files, the largest such group; none if no file is named."""
    groups: dict[tuple[str, ...], list[RunSummary]] = {}
    for run in runs:
        if split in run.metrics and "questions" in run.metrics[split].sources:
            sources = run.metrics[split].sources
            known = [sources[name] for name in ("questions", "annotations") if name in sources]
            key = tuple(source.sha256 or source.path for source in known)
            groups.setdefault(key, []).append(run)
    return max(groups.values(), key=len, default=[])


def gather(runs: Sequence[RunSummary], scoring: str, search: Path | None, look: Look) -> Records:
    """Reads what stands behind the scores of some runs, one split at a time.

    Args:
        runs: runs whose scores all follow one rule.
        scoring: that rule.
        search: a folder in which to look for questions and annotations that are not where they were.
        look: called with each split's records and questions, which are then dropped: ten runs on 220,000
            questions fit into memory as numbers, not as records.
    """
    records = Records()
    if scoring == MEAN_AVERAGE_PRECISION:
        records.reasons.append("mAP ranks all images of a class, so there is nothing to show image by image.")
        return records
    if scoring not in RULES:
        records.reasons.append(f"The rule {scoring!r} is not known here, so nothing was scored again.")
        return records
    for split in dict.fromkeys(split for run in runs for split in run.metrics):
        same = _groups(runs, split)
        if same:
            with phase(f"reading predictions of {split}", len(same), "runs") as far:
                _read_split(split, scoring, same, search, records, look, far)
        else:
            records.reasons.append(f"No examples of {split}: its metrics do not name their questions.")
    return records
