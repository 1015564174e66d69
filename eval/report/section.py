"""Sections of a report that belong to no breakdown, found by name.

A section is a function from the content to a `Section`, None where it does not apply, under ``@section(name, order)``,
in a file of `eval/report/sections`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vqa_gs.eval.report_content.blocks import Section
from vqa_gs.eval.report_content.content import Content

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
