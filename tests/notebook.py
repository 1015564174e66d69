"""Runs the cells of a notebook, one after the other in one namespace, without a server."""

from __future__ import annotations

import ast
import contextlib
import io
import json


def source_of(cell):
    """Returns what stands in a cell."""
    return "".join(cell["source"])


def cells_of(path, kind="code"):
    """Returns the cells of a kind, in order."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def execute(source, names):
    """Runs a cell and returns what it printed, and the value of its last line where that is an expression."""
    tree, last = ast.parse(source), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "<cell>", "exec"), names)
        value = None if last is None else eval(compile(last, "<cell>", "eval"), names)
    return printed.getvalue(), value
