"""Names as people write them: with dashes or underscores, and with typing errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from vqa_gs.common.errors import UsageError


def one_spelling(name: str) -> str:
    """Returns a name as all its spellings are written: ``same_question`` and ``same-question`` are one."""
    return name.replace("_", "-").lower()


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is most like a word, None where none is.

    Example:
        >>> did_you_mean("same_quesion", ["same-question", "edited"]), did_you_mean("zebra", ["edited"])
        ('same-question', None)
    """
    spelled = {one_spelling(name): name for name in known}
    close = get_close_matches(one_spelling(word), spelled, 1, 0.7)
    return spelled[close[0]] if close else None


def mend(word: str, known: Iterable[str]) -> str:
    """Returns what to say of a word that is no known name: the one that was meant, or all there are."""
    names = list(known)
    close = did_you_mean(word, names)
    listed = f"choose one of {', '.join(names)}"
    return f"did you mean {close}? {listed}" if close else listed


def chosen(word: str, known: Iterable[str], what: str) -> str:
    """Returns the known name that a word spells.

    Args:
        word: the word.
        known: the names there are.
        what: what they are names of, for the message.

    Raises:
        UsageError: it is none of them.
    """
    names = list(known)
    for name in names:
        if one_spelling(name) == one_spelling(word):
            return name
    raise UsageError(f"there is no {what} {word!r}", mend=mend(word, names))
