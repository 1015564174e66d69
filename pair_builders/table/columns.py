"""Checked columns: what a pair table is made of, and groups of unequal length kept end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vqa_gs.common.errors import DataError
from vqa_gs.data.questions import QuestionId


def id_column(ids: Iterable[QuestionId] | NDArray[Any]) -> NDArray[Any]:
    """Returns ids as a column: int64 if they are numbers, objects (str) if they are text.

    Args:
        ids: n question or image ids.

    Raises:
        DataError: numbers and text are mixed, a number is too large, or an id is neither.
    """
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    # Not np.asarray: it would silently turn a mixture of numbers and text into text.
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    types = set(map(type, values))
    if types == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return np.array(values, dtype=np.int64)
    text = sum(isinstance(value, str) for value in values)
    if text == len(values) and values:
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    if text:
        raise DataError("ids that are numbers and ids that are text are mixed in one column")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise DataError(f"an id must be a number or text, not {type(value).__name__}")
        if not -(2**63) <= int(value) < 2**63:
            raise DataError(f"the id {value} does not fit 64 bits")
    return np.array(values, dtype=np.int64)


def ragged_positions(first: NDArray[np.int64], order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Says where the entries of some groups lie in a compressed column.

    Args:
        first: (P+1,), group p being the entries ``first[p]:first[p+1]``.
        order: (n,) groups, in any order, repeated ones allowed.

    Returns:
        (n+1,) the bounds after taking the groups in this order, and (m,) the positions of their entries.
    """
    lengths = first[order + 1] - first[order]
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shift = np.repeat(first[order] - bounds[:-1], lengths)
    return bounds, np.arange(bounds[-1], dtype=np.int64) + shift


def compress(
    groups: Sequence[ArrayLike], pairs: int, empty: tuple[int, ...], dtype: Any
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Joins P groups into one column; returns the bounds (P+1,) and the entries."""
    if not len(groups):
        return np.zeros(pairs + 1, np.int64), np.zeros(empty, dtype)
    arrays = [np.asarray(group, dtype).reshape(-1, *empty[1:]) for group in groups]
    return np.cumsum([0, *map(len, arrays)]).astype(np.int64), np.concatenate(arrays)


def column(values: Any, dtype: Any, shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """Returns values as a column of this type and shape (None: any length), or raises DataError."""
    array = np.asarray(values)
    if array.dtype.kind not in ("biu" if np.dtype(dtype).kind in "iu" else "biuf"):
        raise DataError(f"{name} holds {array.dtype}, expected {np.dtype(dtype)}")
    if array.ndim != len(shape) or not all(want in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = tuple("any" if want is None else want for want in shape)
        raise DataError(f"{name} has the shape {array.shape}, expected {wanted}")
    if array.size and np.dtype(dtype).kind in "iu" and array.dtype != dtype:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise DataError(f"{name} holds a number that does not fit {np.dtype(dtype)}")
    return np.ascontiguousarray(array, dtype)


def answer_column(values: Any, pairs: int) -> NDArray[Any]:
    """Returns the answers of b's ends, (P,) str or None, or raises DataError."""
    column = np.empty(pairs, dtype=object)
    if len(values) != pairs:
        raise DataError(f"{len(values)} answers of end b for {pairs} pairs")
    column[:] = list(values)
    if not all(value is None or isinstance(value, str) for value in column):
        raise DataError("an answer of end b must be text or None")
    return column


def is_given(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Says which entries of a column of objects are not None, (n,)."""
    return np.fromiter((value is not None for value in values), np.bool_, len(values))


def check_codes(codes: NDArray[np.uint8], names: Sequence[str], what: str) -> None:
    """Raises DataError unless every code is the number of a name."""
    if len(set(names)) != len(names):
        raise DataError(f"a name of a pair {what} is there twice: {', '.join(names)}")
    first_bad(codes >= len(names), f"the {what} is none of the {len(names)} that are named")


def check_bounds(first: NDArray[np.int64], entries: int, name: str) -> None:
    """Raises DataError unless the bounds (P+1,) rise from 0 to the number of entries."""
    if first[0] != 0 or first[-1] != entries:
        raise DataError(f"{name} runs from {first[0]} to {first[-1]}, expected 0 to {entries}")
    first_bad(np.diff(first) < 0, f"{name} decreases")


def repeated(owner: NDArray[np.int64], region: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Says which rows name a region that an earlier row of their pair names, (S,); -1 may come often."""
    order = np.lexsort((region, owner))
    same = (np.diff(owner[order]) == 0) & (np.diff(region[order]) == 0) & (region[order][1:] >= 0)
    repeated = np.zeros(len(region), bool)
    repeated[order[1:][same]] = True
    return repeated


def first_bad(bad: NDArray[np.bool_], problem: str, owner: NDArray[np.int64] | None = None) -> None:
    """Raises DataError at the first entry that is bad; ``owner`` says which pair an entry belongs to."""
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(problem, record=f"pair {at if owner is None else owner[at]}")


def join_ids(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Joins columns of ids that agree in their type, or raises DataError."""
    # The column of an empty table says nothing about the type of ids.
    filled = [column for column in columns if len(column)] or [columns[0]]
    if len({column.dtype for column in filled}) > 1:
        raise DataError("question ids are numbers in one pair table and text in another", mend="do not merge them")
    return np.concatenate(filled)


def join_bounds(bounds: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Joins the bounds (P+1,) of tables whose entries are joined."""
    lengths = [np.diff(first) for first in bounds]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
