import subprocess
import sys

import pytest

# Counts the first touches of pages by the second and third of three equal steps.
FAULTS = """
import resource, sys
import torch
from vqa_gs.training.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    print(-1)
    sys.exit()
def step():
    x = torch.ones(1 << 24)
    return float((x * 2 + x)[0])
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(), step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word):
    run = subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_freed_memory_is_used_again():
    kept = faults("keep")
    if kept < 0:
        pytest.skip("the C library has no mallopt")
    # 64 MB are 16,384 pages; each of the two steps touches three such tensors.
    assert kept < 1000
    assert faults("leave") > 10 * kept + 30_000
