"""What a breakdown is: a section of the metrics file with its computation, and how each output shows it."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import msgspec
from vqa_gs.eval.evidence import Scored
from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content

from vqa_gs.common.registry import Registry


class StudyKind(NamedTuple):
    """How a study shows the measures of a breakdown.

    Attributes:
        kind: what `study.json` files them under.
        heading: of their table.
        meaning: what the numbers are, under the table.
        title: of their figure.
        axis: the figure's axis.
        level: the measure that a figure draws as a line to compare with, None for none.
        higher_is_better: whether differences are worth a test and a mark.
    """

    kind: str
    heading: str
    meaning: str
    title: str
    axis: str
    level: str | None = None
    higher_is_better: bool = True


class Measured(NamedTuple):
    """One measure of a breakdown in a study or on a card.

    Attributes:
        value: it.
        questions: how many questions it is over, or groups of them.
        sampling: standard error by images and how many these are, see `vqa_gs.eval.group_breakdown`; None: not known.
    """

    value: float
    questions: int | None
    sampling: tuple[float, int] | None = None


class Breakdown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A section of the metrics file; its fields are the file's.

    A field without a default always stands in the file, as null where it is None; one with a default is left out there
    while it has it.

    Attributes:
        order: where the breakdown stands among the sections of a report and the lines of a terminal.
        study: how a study shows its measures, None for a breakdown that has none.
    """

    order: ClassVar[int]
    study: ClassVar[StudyKind | None] = None

    @classmethod
    def of(cls, scored: Scored) -> Breakdown | None:
        """Computes the section; None where the data does not allow it.

        Raises:
            UsageError: what was given does not fit together.
        """
        raise NotImplementedError

    @classmethod
    def from_json(cls, content: Any) -> Breakdown:
        """Reads the section from plain containers.

        Raises:
            msgspec.ValidationError: they are of another layout.
        """
        return msgspec.convert(content, cls)

    def to_json(self) -> Any:
        """Returns the section as plain containers."""
        return msgspec.to_builtins(self)

    def lines(self, rule: str) -> list[str]:
        """Returns what the terminal shows of it, the scoring rule beside each accuracy."""
        return []

    @classmethod
    def section(cls, content: Content) -> Section | None:
        """Returns what a report shows of it, None where no run has it."""
        return None

    def measured(self) -> dict[str, Measured]:
        """Returns its measures in a study by name; "" is the whole."""
        return {}

    def on_card(self) -> dict[str, Measured]:
        """Returns what a model's card shows of it, by the words that stand there; nothing for most."""
        return {}


def shown(value: float | None) -> str:
    """Returns a percentage as the terminal shows it."""
    return "     -" if value is None else f"{value:6.2f}"


BREAKDOWNS: Registry[type[Breakdown]] = Registry("breakdown", "vqa_gs.eval.breakdowns")
"""The breakdowns by the name of their section; adding one is adding a file."""


def ordered_breakdowns() -> list[type[Breakdown]]:
    """Returns the breakdowns in the order in which they are shown."""
    return sorted((BREAKDOWNS[name] for name in BREAKDOWNS), key=lambda kind: kind.order)


def study_kinds() -> list[StudyKind]:
    """Returns how studies show the breakdowns that have measures for them."""
    return [kind for name in BREAKDOWNS if (kind := BREAKDOWNS[name].study)]
