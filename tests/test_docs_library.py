"""The examples of docs/library.md run as they stand, one after the other, as do the examples in docstrings."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "library.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_blocks_of_the_library_page_run():
    text = PAGE.read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        before = text[: block.start()].count("\n") + 1  # so that a traceback names the page's own line
        exec(compile("\n" * before + block[1], str(PAGE), "exec"), names)
    assert names["loss"].requires_grad


def test_first_block_turns_the_gradient():
    code = BLOCK.search(PAGE.read_text())[1]
    losses = []
    for steps in (0, 30):
        names = {}
        exec(code.replace("range(30)", f"range({steps})"), names)
        leaf = names["x"].clone().requires_grad_()
        out = names["supervision"](names["model"](leaf), leaf, leaf - names["partner"], names["y"], names["partner_y"])
        losses.append(out.item())
    assert losses[1] < losses[0] - 0.2


@pytest.mark.parametrize(
    "module",
    [
        "vqa_gs.data.labelled_texts",
        "vqa_gs.objectives.answer",
        "vqa_gs.objectives._decision",
        "vqa_gs.objectives.gradient_supervision",
        "vqa_gs.training.metric",
    ],
)
def test_examples_in_docstrings(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
