r"""Short answers out of long ones: how texts of LLaVA, GPT and their kin become answers that rules can score.

The rules look at the text and at the question, never at the true answer, and are the same for every model. In order:

1. Marks of emphasis go. Where a text says which part is its answer (``<answer>``, ``\boxed{}``, "answer:", "the answer
   is"), only what stands there counts, the last such place.
2. Where the question offers options, "(a) Open (b) Closed" or "A: Open; B: Closed", the answer is the letter that is
   named first, as "(a)", "A.", "A:", or alone; else the only option whose words stand in the text.
3. Where the question begins with a verb ("Is", "Does", "Can" ...) and names no alternative with "or", the answer is the
   first of the words yes and no.
4. Where it begins with "how many", the answer is the first number, in digits or as a word up to twenty.
5. Else the first sentence counts, without what leads up to a verb of being ("The car in the front is red" -> "red"),
   without an article before and marks behind it. A rest of more than five words stays as it is.

A text to which none of it applies stays as it is, but for blanks and a final full stop.
"""

from __future__ import annotations

import re

_EMPHASIS = re.compile(r"[*`#]+|(?<!\w)_+|_+(?!\w)")
_MARKED = re.compile(
    r"<answer>(?P<tag>.*?)(?:</answer>|$)"
    r"|\\boxed\{(?P<box>[^{}]*)\}"
    r"|\banswer(?:\s+(?:is|would be|to the question is))?\s*:\s*(?P<colon>[^\n]+)"
    r"|\banswer\s+(?:is|would be)\s+(?P<is>[^\n]+)",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(
    r"(?:\(([a-z])\)|(?<![a-z])([A-Z])\s*[:.)])\s*(.*?)(?=\(\s*[a-z]\s*\)|(?<![A-Za-z])[A-Z]\s*[:.)]|$)", re.DOTALL
)
_NAMED = re.compile(r"\(([A-Ha-h])\)|(?<![A-Za-z])([A-H])(?=\s*(?:[:.),]|$))|^\s*([A-Ha-h])\s*$")
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_VERBS = frozenset(
    re.findall(
        r"\S+",
        "is are was were am does do did has have had can could will would should may might must isn't aren't doesn't"
        " don't",
    )
)
_WORDS = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty",
)
_NUMBERS = {word: str(number) for number, word in enumerate(_WORDS)} | {"none": "0", "no": "0"}
# What goes on, "twenty-five" or "two hundred", is another number than its first word; "three-legged" is none.
_NUMBER = re.compile(
    rf"(?<![\w-])(?<!\d[,.])(?:\d+(?:,\d+)*(?:\.\d+)?|{'|'.join(_NUMBERS)})"
    r"(?![\w-]|[,.]\d|\s+(?:hundred|thousand|million|dozen)\b)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(.+?)(?:[.!?](?=\s|$)|\n|$)", re.DOTALL)
_LEADS = re.compile(
    r"^(?:the|this|that|these|those|it|he|she|they|there|in|on|based|a|an|i|we|you|its|his|her|their)\b[^.]*?"
    r"(?:\b(?:is|are|was|were|be|appears? to be|seems? to be|looks like)|(?<=\w)'s)\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"^(?:(?:a|an|the|most likely|likely|probably)\s+)+", re.IGNORECASE)
_LONGEST = 20_000
_WORDS_LEFT = 5


def short_answer(text: str, question: str) -> str:
    """Returns the short answer that a text gives to a question, see the rules above.

    Args:
        text: what the model wrote.
        question: what it was asked.

    Example:
        >>> short_answer("The color of the car is **red**.", "What color is the car?")
        'red'
        >>> short_answer("Yes, there are two dogs on the sofa.", "Are there dogs?")
        'yes'
        >>> short_answer("There are three dogs.", "How many dogs are there?")
        '3'
        >>> short_answer("They look closed to me.", "Are the wings open or closed? (a) Open (b) Closed")
        'B'
    """
    plain = _EMPHASIS.sub("", text[:_LONGEST]).strip()
    marked = [part for found in _MARKED.finditer(plain) for part in found.groups() if part and part.strip()]
    plain = marked[-1].strip() if marked else plain
    options = _options(question[:_LONGEST])
    if options:
        return _option(plain, options) or _trimmed(plain)
    words = re.findall(r"[\w']+", question.lower())
    if words and words[0] in _VERBS and "or" not in words:
        named = _YES_NO.search(plain)
        if named:
            return named.group().lower()
    if words[:2] == ["how", "many"]:
        number = _NUMBER.search(plain)
        if number:
            found_number = number.group().lower()
            return _NUMBERS.get(found_number, found_number)
    return _said(plain)


def _options(question: str) -> dict[str, str]:
    """Returns the options a question offers, their words by capital letter; none unless A and B are among them."""
    found = {
        (small or capital).upper(): " ".join(re.findall(r"\w+", words.lower()))
        for small, capital, words in _OPTION.findall(question)
    }
    return found if {"A", "B"} <= set(found) else {}


def _option(text: str, options: dict[str, str]) -> str | None:
    for named in _NAMED.finditer(text):
        letter = next(part for part in named.groups() if part).upper()
        if letter in options:
            return letter
    words_said = " ".join(re.findall(r"\w+", text.lower()))
    standing = [letter for letter, words in options.items() if words and f" {words} " in f" {words_said} "]
    return standing[0] if len(standing) == 1 else None


def _said(text: str) -> str:
    sentence = _SENTENCE.match(text)
    first = sentence.group(1).strip() if sentence else text
    leads = _LEADS.match(first)
    rest = _trimmed(leads.group("rest")) if leads else _trimmed(first)
    rest = _BEFORE.sub("", rest) or rest
    return rest if len(rest.split()) <= _WORDS_LEFT else _trimmed(first)


def _trimmed(text: str) -> str:
    return " ".join(text.split()).strip(" \"'“”").rstrip(".!;,:")
