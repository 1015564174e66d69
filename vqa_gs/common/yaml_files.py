"""Reading YAML: plain scalars, lists and mappings, as large as they are written.

YAML can say much more: a few aliases of aliases are a billion entries, an alias within its own anchor never ends, and
tags and keys of the parser behind (``class_path``) make objects. Settings need none of it, so whoever wrote the file,
reading it makes nothing but data.
"""

from __future__ import annotations

from typing import Any

import yaml

from vqa_gs.common.errors import DataError
from vqa_gs.common.files import StrPath, require_file

LARGEST = 1 << 20
"""Bytes; the largest configuration in use has a hundredth of that."""

_DEEPEST = 32
_REPEATED = 5_000
"""How many entries aliases may repeat, all together."""

_EXECUTABLE = ("class_path", "init_args", "dict_kwargs")
"""Keys by which jsonargparse imports and calls what they name."""


class _Loader(yaml.SafeLoader):
    """Refuses what is nested too deeply, repeats too much, or stands twice in one mapping: the first would be lost."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.composer.ComposerError(
                None, None, f"more than {_DEEPEST} levels deep", self.peek_event().start_mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        sizes: dict[int, int] = {}
        if node is not None and _size(node, sizes) > len(sizes) + _REPEATED:
            raise yaml.composer.ComposerError(None, None, "its aliases repeat too much", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            if isinstance(key, str | int | float):
                seen.add(key)
        return super().construct_mapping(node, deep)


# A date is the text that it is written as.
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Returns how many entries a node has with all that its aliases repeat; fills in those of all nodes below it."""
    if id(node) not in sizes:
        sizes[id(node)] = 0  # until it is known, which within itself it never is
        size = 1
        for part in node.value if isinstance(node, yaml.CollectionNode) else ():
            for inner in part if isinstance(part, tuple) else (part,):
                found = _size(inner, sizes)
                if found == 0:
                    raise yaml.composer.ComposerError(None, None, "it contains itself", inner.start_mark)
                size += found
        sizes[id(node)] = size
    return sizes[id(node)]


def parse_yaml(text: str) -> Any:
    """Returns what YAML says: None, bool, int, float, str, and lists and mappings of those.

    Raises:
        yaml.YAMLError: it is damaged, or says what is no plain data.
    """
    try:
        content = yaml.load(text, _Loader)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        # Numbers of thousands of digits; marks and keys that are malformed.
        raise yaml.YAMLError(" ".join(str(error).split()) or type(error).__name__) from error
    _require_plain(content, "")
    return content


def _require_plain(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _EXECUTABLE:
                raise yaml.YAMLError(f"{key!r}, which names code, is not read from files")
            if not isinstance(key, str | int | float | None):
                raise yaml.YAMLError(f"a key{place} is no text")
            _require_plain(key, place)
            _require_plain(inner, f" of {str(key)[:40]!r}")
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner, place)
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise yaml.YAMLError(f"the text{place} is no Unicode")
        if any(f"{key}" in value for key in _EXECUTABLE):
            raise yaml.YAMLError(f"the text{place} names code")
    elif value is not None and type(value) not in (bool, int, float):
        raise yaml.YAMLError(f"the value{place} is neither text nor number, list nor mapping")


def read_yaml(path: StrPath, what: str) -> Any:
    """Reads a file of plain data.

    Args:
        path: the file.
        what: what it is to hold, for messages.

    Raises:
        DataError: it is missing, too large, no text, or what `parse_yaml` refuses.
    """
    file = require_file(path, what)
    if file.stat().st_size > LARGEST:
        raise DataError(f"is larger than a {what} can be", file=file, mend=f"at most {LARGEST:,} bytes")
    try:
        return parse_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"is not readable YAML: {error}", file=file) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=file) from error


def read_mapping(path: StrPath, what: str) -> dict[str, Any]:
    """Reads a file whose top level is a mapping; see `read_yaml`."""
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise DataError(f"is no {what}: its top level is no mapping", file=path)
    return content
