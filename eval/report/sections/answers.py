"""Answer distributions by question type: in training, in truth, as predicted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vqa_gs.eval.breakdowns.prior import Prior
from vqa_gs.eval.report.section import section
from vqa_gs.eval.report_content.blocks import Figures, Section
from vqa_gs.eval.report_content.charts.answers import AnswerChart, AnswerShares
from vqa_gs.eval.report_content.content import Content
from vqa_gs.eval.report_content.records import SplitRecords

DRAWN = 6
FOLDED = 64
ANSWERS = 7
_TOP = 3

Shares = npt.NDArray[np.float64]
TrainShares = dict[str, dict[str, float]]


def _shares(counts: npt.NDArray[np.intp]) -> Shares:
    total = counts.sum()
    return counts / total if total else counts.astype(np.float64)


def train_shares(content: Content, split: str) -> TrainShares:
    """Returns the shares in training, in 0..1, of the answers that the split's breakdowns list, by question type."""
    shares: TrainShares = {}
    for one in content.breakdowns(Prior, split):
        for kind, part in one.per_question_type.items():
            shares.setdefault(kind, {}).update({row.answer: row.train / 100 for row in part.answers})
    return shares


def answer_chart(
    title: str,
    lexicon: tuple[str, ...],
    truth: Shares,
    train: dict[str, float],
    predicted: list[Shares | None],
) -> AnswerChart:
    """Returns the chart of one question type: the answers that are common in any of the distributions."""
    # Answers that training has but no breakdown lists are rare there: they are drawn without a tick.
    known = np.array([train.get(answer, 0.0) for answer in lexicon])
    wanted: list[int] = []
    for rank in range(_TOP):
        for shares in (truth, known, *predicted):
            if shares is not None:
                best = int(np.argsort(-shares, kind="stable")[rank]) if rank < len(shares) else -1
                if best >= 0 and shares[best] > 0 and best not in wanted:
                    wanted.append(best)
    wanted = sorted(wanted[:ANSWERS], key=lambda number: -truth[number])
    rows = [
        AnswerShares(
            lexicon[number],
            float(truth[number]),
            train.get(lexicon[number]),
            tuple(None if shares is None else float(shares[number]) for shares in predicted),
        )
        for number in wanted
    ]
    # An answer that training is full of and nobody gives here belongs into the picture.
    elsewhere = {answer: train[answer] for answer in train.keys() - set(lexicon)}
    for answer, share in sorted(elsewhere.items(), key=lambda item: -item[1])[:1]:
        if share >= 0.1 and len(rows) < ANSWERS:
            nothing = tuple(None if shares is None else 0.0 for shares in predicted)
            rows.append(AnswerShares(answer, 0.0, share, nothing))
    return AnswerChart(title, tuple(rows))


def answer_charts(content: Content, records: SplitRecords, train: TrainShares) -> list[AnswerChart]:
    """Returns a chart for each question type of a split, the commonest first."""
    order = np.argsort(records.question_type, kind="stable")
    counts = np.bincount(records.question_type, minlength=len(records.question_types))
    ends = np.cumsum(counts)
    rows = []
    for arm in content.arms:
        places = [records.row(run) for run in arm.runs]
        rows.append([row for row in places if row is not None])
    charts = []
    for kind in np.argsort(-counts, kind="stable")[: DRAWN + FOLDED]:
        members = order[ends[kind] - counts[kind] : ends[kind]]
        name = records.question_types[kind]

        def shares(codes: npt.NDArray[np.int32]) -> Shares:
            return _shares(np.bincount(codes[codes >= 0], minlength=len(records.lexicon)))

        predicted: list[Shares | None] = []
        for known in rows:
            own = [shares(records.predicted[row, members]) for row in known]
            predicted.append(np.mean(own, axis=0) if own else None)
        title = f"{name} ({counts[kind]:,} questions)"
        charts.append(
            answer_chart(title, records.lexicon, shares(records.truth[members]), train.get(name, {}), predicted)
        )
    return charts


@section("answers", 60)
def build(content: Content) -> Section | None:
    """Returns the distributions on the OOD split, on the in-domain one where there is no other."""
    split = next(
        (name for name in (content.splits.ood, content.splits.in_domain) if name in content.records.splits), None
    )
    if split is None:
        return None
    train = train_shares(content, split)
    charts = answer_charts(content, content.records.splits[split], train)
    tick = "; tick: in training" if train else "; training answers are not known"
    notes = [
        f"Share of each answer among the questions of a type on {split}, in %. "
        f"Bar: majority answer of the annotators{tick}; marker: as predicted, mean over an arm's runs."
    ]
    if train:
        notes.append(
            "A marker near the tick repeats the training statistics; near the bar's end it follows the images."
        )
    legend = "answers" if train else "answers without training"
    blocks = [Figures(tuple(charts[:DRAWN]), legend, tuple(notes))]
    if len(charts) > DRAWN:
        blocks.append(Figures(tuple(charts[DRAWN:]), folded=f"{len(charts) - DRAWN} more question types"))
    return Section("Answer distributions", "answers", "Answers", tuple(blocks))
