"""Which questions of a test belong together: rephrasings, twins, pairs and quadruples over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vqa_gs.data.questions import QuestionId

ContrastKind = Literal["invariance", "directional", "ontological"]
"""What the two answers of a pair have to be: equal, different, or equal where the first is right."""


class Quad(NamedTuple):
    """Two questions about two images, by question id: ``q1_i0`` is the second question about the first image."""

    q0_i0: QuestionId
    q0_i1: QuestionId
    q1_i0: QuestionId
    q1_i1: QuestionId


class Triple(NamedTuple):
    """One question about three images: the first has the answer that the language suggests, the others have not."""

    prior: QuestionId
    first: QuestionId
    second: QuestionId


class Choices(NamedTuple):
    """Which answers to a question are valid, and which of them plausible, as GQA's choices files say."""

    valid: frozenset[str]
    plausible: frozenset[str]


@dataclass(frozen=True)
class Groups:
    """What a test's files say of questions that belong together; all is empty where they say nothing.

    Attributes:
        rephrasings: groups of questions that ask the same, the original first.
        quads: NaturalBench's groups.
        contrasts: pairs of CARETS, with what their answers have to be.
        contrast_kind: see `ContrastKind`.
        minimal_pairs: pairs of one question about two images (MMVP).
        triples: ViLP's.
        mode: ViLP's: ``fact`` or ``prior``.
        local_groups: GQA's ``groups.local`` by question id.
        global_groups: GQA's ``groups.global`` by question id, where there is one.
        semantic_types: GQA's ``types.semantic`` by question id.
        common: GQA's questions for what two objects have in common, whose answers are ``color``, ``material``,
            ``shape``.
        choices: valid and plausible answers by question id.
    """

    rephrasings: Sequence[tuple[QuestionId, ...]] = ()
    quads: Sequence[Quad] = ()
    contrasts: Sequence[tuple[QuestionId, QuestionId]] = ()
    contrast_kind: ContrastKind = "invariance"
    minimal_pairs: Sequence[tuple[QuestionId, QuestionId]] = ()
    triples: Sequence[Triple] = ()
    mode: str = ""
    local_groups: Mapping[QuestionId, str] | None = None
    global_groups: Mapping[QuestionId, str] | None = None
    semantic_types: Mapping[QuestionId, str] | None = None
    common: frozenset[QuestionId] = frozenset()
    choices: Mapping[QuestionId, Choices] = field(default_factory=dict)
