"""The examples in docstrings run, and what is public has one; the first of docs/python.md does what it says."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import vqa_gs
from tests.markdown import blocks_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
PACKAGES = ("eval", "features", "pair_builders", "vqa_gs")


def test_first_block_turns_the_gradient():
    code = blocks_of(PAGE)[0].text
    losses = []
    for steps in (0, 30):
        names = {}
        exec(code.replace("range(30)", f"range({steps})"), names)
        leaf = names["x"].clone().requires_grad_()
        out = names["supervision"](names["model"](leaf), leaf, leaf - names["partner"], names["y"], names["partner_y"])
        losses.append(out.item())
    assert losses[1] < losses[0] - 0.2


def modules_with_examples():
    """Every module of the packages that has an example in a docstring, by its dotted name."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    chosen = [file for file in files if ">>> " in file.read_text(encoding="utf-8")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in chosen]
    return [name if name.startswith("vqa_gs.") else f"vqa_gs.{name}" for name in names]  # as they are imported


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def public_names():
    return [name for name in vqa_gs.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", public_names())
def test_what_is_public_has_an_example_of_its_own(name):
    public = getattr(vqa_gs, name)
    own = [public]
    if inspect.isclass(public):
        own += [member for key, member in vars(public).items() if key in ("forward", "update", "compute")]
    finder = doctest.DocTestFinder(recurse=False)
    for part in own:
        (found,) = finder.find(part, part.__qualname__, globs={})
        assert found.examples, part.__qualname__
    assert public.__module__ in modules_with_examples()
