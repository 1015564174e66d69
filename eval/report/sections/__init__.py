"""The sections of a report, one a file.

Adding a section is adding a file here: a function from the content to a `Section`, None where it does not
apply, under ``@section(name, order)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vqa_gs.eval.report.blocks import Section
from vqa_gs.eval.report.content import Content

from vqa_gs.common.registry import Registry

Builder = Callable[[Content], Section | None]


class Place(NamedTuple):
    """A section's builder and where it stands in the report."""

    order: int
    build: Builder


SECTIONS: Registry[Place] = Registry("report section", "vqa_gs.eval.report.sections")


def section(name: str, order: int) -> Callable[[Builder], Builder]:
    """Returns a decorator that files a section under a name; sections stand in rising order."""

    def add(build: Builder) -> Builder:
        SECTIONS.register(name)(Place(order, build))
        return build

    return add


def build_sections(content: Content) -> tuple[Section, ...]:
    """Returns the sections that apply, in their order."""
    places = sorted((SECTIONS[name] for name in SECTIONS), key=lambda place: place.order)
    built = (place.build(content) for place in places)
    return tuple(found for found in built if found is not None)
