from __future__ import annotations

import io

from vqa_gs.common.errors import DataError, out_of_memory
from vqa_gs.common.terminal import PrintableStream, printable


def test_control_characters_are_shown_and_texts_of_all_languages_stay():
    text = "a\tb\n Größe 図 \x1b[31m \x07 \x9b \u202e \r \udc80"
    assert printable(text) == "a\tb\n Größe 図 \\x1b[31m \\x07 \\x9b \\u202e \\r \\udc80"


def test_errors_do_not_speak_to_the_terminal_and_are_cut():
    error = DataError("is \x1b]0;wrong\x07", file="a\x1b", record="9" * 5000, mend="mend it")
    assert str(error).startswith("a\\x1b: 999")
    assert "(5,000 characters): is \\x1b]0;wrong\\x07 (mend it)" in str(error)
    assert len(str(DataError("x" * 100_000))) < 2000


def test_a_stream_of_data_is_no_terminal():
    below = io.StringIO()
    stream = PrintableStream(below)
    print("a\x1b[1mb", file=stream, flush=True)
    assert below.getvalue() == "a\\x1b[1mb\n"
    assert not stream.isatty()


def test_which_errors_mean_that_memory_does_not_suffice():
    assert out_of_memory(ValueError("something else")) is None
    for error in (MemoryError(), RuntimeError("[enforce fail] can't allocate memory: you tried 8\nmore")):
        told = str(out_of_memory(error))
        assert "the memory does not suffice" in told
        assert "more" not in told
