import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

# Counts the first touches of pages by a step of three tensors of 64 MB.
FAULTS = """
import resource, sys
from vqa_gs.common.memory import use_huge_pages
if sys.argv[1] == "huge":
    use_huge_pages()
import torch
def step():
    x = torch.ones(1 << 24)
    return float((x * 2 + x)[0])
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not PAGES.exists() or "[never]" in PAGES.read_text(), reason="the system has no large pages")
def test_large_tensors_touch_few_pages():
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", FAULTS]
    found = [
        int(subprocess.run([*command, word], capture_output=True, text=True, check=True, env=environment).stdout)
        for word in ("huge", "plain")
    ]
    assert found[0] < 5000
    if "[always]" not in PAGES.read_text():
        assert found[1] > 5 * found[0]
