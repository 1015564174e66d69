"""The process that reads foreign pickles for ``pickles``: a pickle in, plain data out; run as a script.

A pickle is a program. Here it may build plain containers, numbers, texts and descriptions of arrays, and nothing else:
no name in it leads to anything but the few stand-ins below, which take no state and keep what they are told as it is.
Arrays are built by the process that asked, from a type in words, a shape and bytes whose number is checked. What
damage or malice does to memory and time ends with this process.

A request: a byte for the kind (``p``: a pickle; ``t``: the one in a torch file; ``l``: the five at the head of an old
torch file), then the content. The answer: msgpack of ``[true, trees, end]`` or ``[false, text]``; ``end`` is where the
last pickle stops. A tree is None, bool, int of 64 bits, float, text, bytes, or a list whose first entry says what it
is, see `_Writer`.
"""

from __future__ import annotations

import io
import pickle
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

_MEMORY = 512 << 20, 32
_OUTPUT = 4 << 20, 16
"""Bytes that are allowed for any pickle, and more for each byte of it. Benign ones need a third of that."""

_MOST_SPENT = 1 << 34


class _Budget:
    left = 0

    @classmethod
    def spend(cls, size: int) -> None:
        cls.left -= size
        if cls.left < 0:
            raise pickle.UnpicklingError("it builds far more than its size")


class _Made:
    """What a stand-in makes: words about an array, a number or a tensor."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("state where none belongs")


class _Dtype(_Made):
    """``numpy.dtype("f4", ...)``; of its state only the byte order counts, and fields, metadata, flags are refused."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        order, parts, metadata = state[1], state[2:5], state[8:]
        if order not in ("<", ">", "|", "=") or any(value is not None for value in (*parts, *metadata)):
            raise pickle.UnpicklingError("a type of numbers with fields, metadata or a state of its own")
        self.parts = (order + self.parts[0].lstrip("<>|="),)

    def name(self) -> str:
        return str(self.parts[0])


class _Array(_Made):
    """``_reconstruct(ndarray, (0,), b"b")``, whose state is the array."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        if self.parts:
            raise pickle.UnpicklingError("an array is given its content twice")
        if len(state) == 4:  # version 0, which NumPy still reads
            state = (0, *state)
        _, shape, dtype, fortran, content = state
        self.parts = _array(shape, dtype, "F" if fortran else "C", content)


def _array(shape: Any, dtype: Any, order: Any, content: Any) -> tuple[Any, ...]:
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or order not in ("C", "F"):
        raise pickle.UnpicklingError("no array")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise pickle.UnpicklingError("an array of no such shape")
    return shape, dtype.name(), order, content


class _StandIn:
    """A name that a pickle may call. It has no attributes that a pickle could set."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("state where none belongs")


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding not in ("latin1", "latin-1", "utf-8") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"the encoding {str(encoding)[:20]!r} is not allowed in a data file")
    _Budget.spend(len(text))
    return text.encode(encoding)


def _container(kind: Callable[..., Any], *allowed: Any) -> Callable[..., Any]:
    def build(content: Any = (), encoding: str | None = None) -> Any:
        if not isinstance(content, allowed):
            raise pickle.UnpicklingError(f"a {type(content).__name__} where none is allowed")
        _Budget.spend(len(content) * (1 if kind in (bytes, bytearray) else 64))
        return kind(_encode(content, encoding) if encoding is not None else content)

    return build


def _dtype(name: Any, *_: Any) -> _Dtype:
    text = name.decode("latin1") if isinstance(name, bytes) else name
    if not isinstance(text, str) or len(text) > 12:
        raise pickle.UnpicklingError("no type of numbers")
    return _Dtype(text)


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if not isinstance(kind, _Name) or tuple(shape) != (0,):
        raise pickle.UnpicklingError("no array")
    return _Array()


def _scalar(dtype: Any, content: Any = b"") -> _Made:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("no number")
    return _Made("n", dtype.name(), content)


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
    array = _Array()
    array.parts = _array(shape, dtype, order, content)
    return array


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Made:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Made("T", *storage.parts, offset, list(shape), list(stride))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


class _Name(_Made):
    """A name that is handed on but never called, as ``numpy.ndarray`` and torch's kinds of storage are."""

    __slots__ = ()


class _Storage(_Made):
    """Torch's numbers, which lie outside of the pickle: kind, key, how many."""

    __slots__ = ()


_SCALARS = (type(None), bool, int, float, str, bytes)
_PAIRS = (list, tuple, dict, set, frozenset)
_PLAIN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _Name("ndarray"),
    **{
        (package, name): call
        for package in ("builtins", "__builtin__")
        for name, call in {
            "set": _container(set, *_PAIRS),
            "frozenset": _container(frozenset, *_PAIRS),
            "bytes": _container(bytes, bytes, bytearray, str, tuple),
            "bytearray": _container(bytearray, bytes, bytearray, str, tuple),
            "complex": complex,
        }.items()
    },
    ("collections", "OrderedDict"): _container(dict, *_PAIRS),
    **{
        (f"numpy.{core}.{module}", name): call
        for core in ("core", "_core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}
_TORCH: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{
        ("torch", f"{kind}Storage"): _Name(dtype)
        for kind, dtype in {
            "Half": "<f2",
            "Float": "<f4",
            "Double": "<f8",
            "Char": "|i1",
            "Short": "<i2",
            "Int": "<i4",
            "Long": "<i8",
            "Byte": "|u1",
            "Bool": "|b1",
        }.items()
    },
}


def _stand_ins(names: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    return {name: value if isinstance(value, _Made) else _StandIn(value) for name, value in names.items()}


class _Unpickler(pickle.Unpickler):
    names = _stand_ins(_PLAIN)

    def find_class(self, module: str, name: str) -> Any:
        found = self.names.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed in a data file")
        return found


class _TorchUnpickler(_Unpickler):
    names = _stand_ins({**_PLAIN, **_TORCH})

    def persistent_load(self, key: Any) -> Any:
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], _Name):
            raise pickle.UnpicklingError("numbers of no known kind")
        if len(key) > 5 and key[5] is not None:
            raise pickle.UnpicklingError("numbers that are part of others'")
        return _Storage(key[1].parts[0], str(key[2]), key[4])


class _Writer:
    """Makes the tree of what was read, within a budget.

    ``["l" | "t" | "s" | "f", entries]`` list, tuple, set, frozenset; ``["d", [key, value, key, value...]]``; ``["b",
    bytes]`` bytearray; ``["i", text]`` a larger int, hexadecimal; ``["c", real, imaginary]``; ``["a", shape, type, "C"
    or "F", bytes or a tree]`` array; ``["n", type, bytes]`` number of NumPy's; ``["T", type, key, numbers, offset,
    shape, strides]`` tensor.
    """

    def __init__(self, budget: int) -> None:
        self.left = budget

    def tree(self, value: Any) -> Any:
        kind = type(value)
        size = len(value) if kind in (str, bytes, bytearray, list, tuple, set, frozenset, dict) else 0
        # What is made of a container there is larger than what it holds; a text is its bytes.
        self.left -= size + (4 if kind in _SCALARS else 32)
        if self.left < 0:
            raise pickle.UnpicklingError("it builds far more than its size")
        if value is None or kind in (bool, float, str, bytes):
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else ["i", hex(value)]
        if kind is dict:
            return ["d", [self.tree(part) for pair in value.items() for part in pair]]
        for tag, container in (("l", list), ("t", tuple), ("s", set), ("f", frozenset)):
            if kind is container:
                return [tag, [self.tree(part) for part in value]]
        if kind is bytearray:
            return ["b", bytes(value)]
        if kind is complex:
            return ["c", value.real, value.imag]
        if kind is _Array and value.parts:
            shape, dtype, order, content = value.parts
            return ["a", list(shape), dtype, order, self._content(content)]
        if kind is _Made and value.parts[0] == "n":
            return ["n", value.parts[1], self._content(value.parts[2])]
        if kind is _Made and value.parts[0] == "T":
            return ["T", *map(self._whole, value.parts[1:])]
        raise pickle.UnpicklingError("a part of it is no data")

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):  # Python 2's bytes
            content = content.encode("latin1")
        if isinstance(content, (bytes, bytearray)):
            self.left -= len(content)
            return bytes(content)
        return self.tree(content)

    @staticmethod
    def _whole(value: Any) -> Any:
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, str) or (type(entry) is int and 0 <= entry < 2**63) for entry in entries):
            raise pickle.UnpicklingError("a tensor of no such shape")
        return value


def _read(kind: bytes, content: bytes) -> Iterator[tuple[Any, int]]:
    stream = io.BytesIO(content)
    for _ in range(5 if kind == b"l" else 1):
        value = (_Unpickler if kind == b"p" else _TorchUnpickler)(stream, encoding="latin1").load()
        yield value, stream.tell()


def answer(request: bytes) -> list[Any]:
    """Returns what the answer's msgpack is made of."""
    kind, content = request[:1], request[1:]
    output, ratio = _OUTPUT
    _Budget.left = output + ratio * len(content)
    try:
        read = list(_read(kind, content))
        writer = _Writer(output + ratio * len(content))
        trees = [writer.tree(value) for value, _ in read]
        return [True, trees, read[-1][1]]
    except MemoryError:
        return [False, "UnpicklingError: it builds far more than its size"]
    except RecursionError:
        return [False, "UnpicklingError: nested too deeply"]
    except Exception as error:  # a damaged pickle raises nearly anything
        return [False, f"{type(error).__name__}: {error}"[:400]]


def main() -> None:
    """Answers until standard input ends."""
    # The script's folder must not shadow what msgspec imports.
    sys.path.pop(0)
    import msgspec

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, out = sys.stdin.buffer, sys.stdout.buffer
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    while head := source.read(8):
        (size,) = struct.unpack("<Q", head)
        memory, ratio = _MEMORY
        limit = min(memory + ratio * size, _MOST_SPENT)
        with suppress(ValueError, OSError):  # what we live under is tighter, or this system knows no such limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        content = source.read(size)
        try:
            encoded = msgspec.msgpack.encode(answer(content))
        except Exception as error:  # a text that is no Unicode, or too much of all
            encoded = msgspec.msgpack.encode([False, f"{type(error).__name__}: {error}"[:400]])
        out.write(struct.pack("<Q", len(encoded)) + encoded)
        out.flush()


if __name__ == "__main__":
    main()
