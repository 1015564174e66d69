"""The errors a user can cause and mend; the command line prints them as one line and exits with 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


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
        where = [part for part in (self.file, self.record) if part]
        text = ": ".join([*where, self.problem])
        if self.mend:
            text += f" ({self.mend})"
        # Names and questions come from files: a line break in them must not break the one line.
        return " ".join(text.split())

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


def _rebuild(
    kind: type[VqaGsError], problem: str, file: str | None, record: str | None, mend: str | None
) -> VqaGsError:
    return kind(problem, file=file, record=record, mend=mend)


class DataError(VqaGsError):
    """A file is missing, damaged, or does not fit the others."""


class UsageError(VqaGsError):
    """A setting or a combination of settings makes no sense."""
