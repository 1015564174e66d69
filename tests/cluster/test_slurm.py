"""The Slurm that the tests start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.keeper import of_folder
from tests.cluster.slurm import missing

STARTS = """
import time
from tests.cluster.slurm import Slurm
with Slurm() as slurm:
    assert slurm.ask("sbatch", "--output=/dev/null", "--wrap", "sleep 600").returncode == 0
    until = time.monotonic() + 60
    while slurm.ask("squeue", "-h", "-t", "R").stdout.strip() == "" and time.monotonic() < until:
        time.sleep(0.2)
    print(slurm.folder, flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_a_slurm_whose_test_run_is_killed():
    if missing():
        pytest.skip(f"{', '.join(missing())} not installed: apt-get install slurm-wlm munge")
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        folder = process.stdout.readline().strip()
        assert len(of_folder(folder)) >= 4  # munged, slurmctld, slurmd, and the job or its keeper
        os.kill(process.pid, signal.SIGKILL)
        until = time.monotonic() + 60
        while (of_folder(folder) or Path(folder).exists()) and time.monotonic() < until:
            time.sleep(0.2)
    assert of_folder(folder) == []
    assert not Path(folder).exists()
