"""What the sections of a report are made of, whatever form it is written in: tables, figures, cards, examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

import msgspec
from markupsafe import Markup
from vqa_gs.eval.arms import Spread
from vqa_gs.eval.statistics import Interval

MISSING = "–"


class Figure(Protocol):
    """A chart that can be drawn; its texts are escaped by whoever draws it."""

    def svg(self) -> Markup:
        """Returns the chart with its caption, empty where there is nothing to draw."""
        ...


class Column(msgspec.Struct, frozen=True):
    """A column of a table; neighbours with the same non-empty group stand under one heading."""

    label: str
    group: str = ""
    side: str | None = None
    numeric: bool = True


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table.

    Attributes:
        text: what to print.
        spread: the deviation printed behind it, or "".
        interval: the interval printed below it, or "".
        sort: what to sort by; None sorts by the text.
        strong: whether the cell is set off: the highest, and clear of the others.
        spark: a word-sized chart in place of the text, which then only describes it.
        link: the address that the text leads to, relative to the page; "" for none.
    """

    text: str
    spread: str = ""
    interval: str = ""
    sort: float | None = None
    strong: bool = False
    spark: Markup | None = None
    link: str = ""


class Table(msgspec.Struct, frozen=True):
    """A table with what a reader must know beside it.

    Attributes:
        name: what it shows.
        notes: the scoring rule first, then whatever else is needed to read the numbers.
        columns: its columns.
        rows: its cells, each row as long as ``columns``.
        filterable: whether it is long enough to be worth a filter.
        warnings: what would mislead if it were overlooked.
    """

    kind: ClassVar[str] = "table"

    name: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    filterable: bool = False
    warnings: tuple[str, ...] = ()


class Figures(msgspec.Struct, frozen=True):
    """Charts side by side.

    Attributes:
        figures: the charts.
        legend: which marks to explain: ``sides`` (in-domain, OOD), ``arms``, ``answers`` (annotators, training,
            arms), ``answers without training``; "" for none.
        notes: what a reader must know to read them.
        folded: the heading under which they are folded away, "" to show them.
        series: what the markers of ``arms`` stand for, in place of the report's arms.
    """

    kind: ClassVar[str] = "figures"

    figures: tuple[Figure, ...]
    legend: str = ""
    notes: tuple[str, ...] = ()
    folded: str = ""
    series: tuple[str, ...] = ()


class RunCard(msgspec.Struct, frozen=True):
    """How one run was made."""

    title: str
    facts: tuple[tuple[str, str], ...]
    command: str
    recorded: bool
    config: str


class Cards(msgspec.Struct, frozen=True):
    """How each run was made, folded away."""

    kind: ClassVar[str] = "cards"

    cards: tuple[RunCard, ...]


class Browser(msgspec.Struct, frozen=True):
    """Examples to look through.

    Attributes:
        payload: JSON for the page's script; it holds no character that could end a script element.
        notes: which examples these are, and how many of how many.
    """

    kind: ClassVar[str] = "browser"

    payload: str
    notes: tuple[str, ...]


Block = Table | Figures | Cards | Browser


class Section(msgspec.Struct, frozen=True):
    """One section of a report.

    Attributes:
        name: its heading.
        anchor: its name in links, letters and hyphens.
        link: its name in the list of sections.
        blocks: what stands in it, from the top.
    """

    name: str
    anchor: str
    link: str
    blocks: tuple[Block, ...]

    def tables(self) -> list[Table]:
        """Returns its tables."""
        return [block for block in self.blocks if isinstance(block, Table)]


def text_cell(text: str, *, sort: float | None = None, link: str = "") -> Cell:
    """Returns a cell of plain text, which may lead somewhere."""
    return Cell(text, sort=sort, link=link)


def count_cell(value: int | None) -> Cell:
    """Returns a cell of a whole number."""
    return Cell(MISSING, sort=-1.0) if value is None else Cell(f"{value:,}", sort=float(value))


def interval_text(interval: Interval | None, digits: int = 1) -> str:
    """Returns an interval as text, "" if there is none."""
    if interval is None:
        return ""
    low, high = (f"{value:.{digits}f}".replace("-", "−") for value in interval)
    return f"{low} to {high}"


def score_cell(
    spread: Spread | None, interval: Interval | None = None, *, strong: bool = False, digits: int = 2
) -> Cell:
    """Returns a cell of a mean with its deviation over seeds and its interval over questions, where known."""
    if spread is None:
        return Cell(MISSING, sort=-1e9)
    std = "" if spread.std is None else f"± {spread.std:.{digits}f}"
    text = f"{spread.mean:.{digits}f}".replace("-", "−")
    return Cell(text, std, interval_text(interval), spread.mean, strong)


def make_table(
    name: str,
    notes: Sequence[str],
    columns: Sequence[Column],
    rows: Iterable[tuple[Cell, ...] | None],
    *,
    filterable: bool = False,
) -> Table | None:
    """Returns a table of the rows that are there, None if none is."""
    kept = tuple(row for row in rows if row is not None)
    return Table(name, tuple(notes), tuple(columns), kept, filterable) if kept else None


def plain(cell: Cell) -> str:
    """Returns a cell as one text."""
    interval = f"({cell.interval})" if cell.interval else ""
    return " ".join(part for part in (cell.text, cell.spread, interval) if part)
