"""The errors a user can cause and mend; the command line prints them as one line and exits with 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

from vqa_gs.common.terminal import printable

# Letters of what is quoted from files.
_LONGEST_RECORD, _LONGEST = 200, 1500


def _shortened(text: str) -> str:
    """Returns a text without its middle: what a loader's process says of an error stands behind how it came there."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... ({len(text):,} characters) ... {text[-_LONGEST // 2 :]}"


def _cut(text: str | None, longest: int) -> str:
    if text is None or len(text) <= longest:
        return text or ""
    return f"{text[:longest]}... ({len(text):,} characters)"


class VqaGsError(Exception):
    """Bad input, told in one line: which file, which record, what is wrong, how to mend it.

    Args:
        problem: what is wrong, in words.
        file: the file it was found in.
        record: the row, question id or image id it was found at.
        mend: what the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | PathLike[str] | None = None,
        record: object = None,
        mend: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.file = None if file is None else str(file)
        self.record = None if record is None else str(record)
        self.mend = mend

    def __str__(self) -> str:
        where = [part for part in (_shortened(self.file or ""), _cut(self.record, _LONGEST_RECORD)) if part]
        text = ": ".join([*where, _shortened(self.problem)])
        if self.mend:
            text += f" ({_shortened(self.mend)})"
        # Names and questions come from files: they must neither break the one line, nor speak to the terminal.
        return printable(" ".join(text.split()))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are lost by the default pickling, which loader processes use to hand an error on.
        return (_rebuild, (type(self), self.problem, self.file, self.record, self.mend))


@contextmanager
def found_in(file: str | PathLike[str]) -> Iterator[None]:
    """A block whose errors are about a file: those that do not say so themselves are given its name."""
    try:
        yield
    except VqaGsError as error:
        if error.file is not None:
            raise
        raise type(error)(error.problem, file=file, record=error.record, mend=error.mend) from error


def out_of_memory(error: Exception) -> VqaGsError | None:
    """Returns what to tell of an error that means that memory does not suffice; None for all others."""
    text = str(error)
    torch_says = ("can't allocate memory", "out of memory", "size calculation overflowed", "Unable to allocate")
    if not isinstance(error, MemoryError) and not any(part in text for part in torch_says):
        return None
    asked = f": {text.splitlines()[0][:200]}" if text else ""
    return UsageError(
        f"the memory does not suffice{asked}",
        mend="lower batch sizes or the model's, or look whether a file is what it should be",
    )


def _rebuild(
    kind: type[VqaGsError], problem: str, file: str | None, record: str | None, mend: str | None
) -> VqaGsError:
    return kind(problem, file=file, record=record, mend=mend)


class DataError(VqaGsError):
    """A file is missing, damaged, or does not fit the others."""


class UsageError(VqaGsError):
    """A setting or a combination of settings makes no sense."""
