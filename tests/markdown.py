"""Blocks of Markdown pages, what each is marked as, and a shell small enough to run those that are for everybody.

A comment right above a block says what it is:

- ``<!-- runs -->``: commands, or Python, that the tests run;
- ``<!-- file: NAME -->``: a file that is written under its name, for the blocks after it;
- ``<!-- needs: WHAT -->``: not run by tests, as it needs real data, the network or hours;
- ``<!-- shows -->``: nothing to run: an example of a record, a signature, a sketch.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from vqa_gs.cli import main

_BLOCK = re.compile(
    r"(?:^<!-- *(?P<mark>[a-z]+)(?:: *(?P<what>[^\n]*?))? *-->[ ]*\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
MARKS = ("runs", "file", "needs", "shows")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: where it stands.
        line: of its first line of content.
        kind: the language, "" where none is told.
        text: what stands in it.
        mark: one of `MARKS`; "" where it has none.
        what: the name of the file, or what is needed.
    """

    page: Path
    line: int
    kind: str
    text: str
    mark: str
    what: str

    @property
    def place(self):
        return f"{self.page.name}:{self.line}"


def blocks_of(page):
    """Returns the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("text")) + 1,
            found["kind"],
            found["text"],
            found["mark"] or "",
            found["what"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def fences_of(page):
    """Returns how many lines of a page open or close a block, however they are written."""
    return sum(line.lstrip().startswith(("```", "~~~")) for line in page.read_text(encoding="utf-8").splitlines())


def commands_of(text, variables):
    """Yields the words of each command; assignments are kept in ``variables``, comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        for name in re.findall(r"\$\{?(\w+)\}?", line):
            line = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", lambda _, name=name: variables[name], line)
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            words = words[1:]
            os.environ.update(dict(word.split("=", 1) for word in words))
        if words and all(re.fullmatch(r"\w+=.*", word) for word in words):
            variables.update(dict(word.split("=", 1) for word in words))
        elif words:
            yield [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else [word])]


class Page:
    """Runs the blocks of a page in the folder that the process is in.

    Args:
        smaller: what is added to a command to make it quick, by its first words.
    """

    def __init__(self, smaller):
        self.smaller, self.variables, self.names, self.ran = smaller, {}, {"__name__": "page"}, []

    def run(self, blocks):
        """Runs what is marked as runnable, writes what is marked as a file."""
        for block in blocks:
            if block.mark == "file":
                Path(block.what).write_text(block.text, encoding="utf-8")
            elif block.mark == "runs" and block.kind == "python":
                code = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's own line
                exec(compile(code, str(block.page), "exec"), self.names)
            elif block.mark == "runs":
                for words in commands_of(block.text, self.variables):
                    self.call(words, block.place)

    def call(self, words, place):
        """Calls one command line of ``vqa-gs``."""
        assert words[0] == "vqa-gs", f"{place}: {words[0]} is not run here, mark the block with what it needs"
        line = words[1:]
        for first, more in self.smaller.items():
            if line[: len(first)] == list(first):
                line += more(line)
        assert main(line) == 0, f"{place}: {json.dumps(words)}"
        self.ran.append(words)
