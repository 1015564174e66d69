"""A Slurm of one machine: munged, slurmctld and slurmd of Debian's packages, in a temporary folder, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

# A requeued job waits for as long as credentials live, two minutes elsewhere.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
SlurmdTimeout=300
KillWait=20
InactiveLimit=0
MinJobAge=300
JobRequeue=1
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Returns the programs that are not installed."""
    return [program for program in PROGRAMS if _path(program) is None]


def _path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Slurm:
    """The daemons, and how they are asked.

    Args:
        nodes: how many nodes this machine plays, each with a slurmd of its own.

    Attributes:
        folder: where all their files are.
        nodes: names of its nodes, of two CPUs each.
    """

    def __init__(self, nodes: int = 1) -> None:
        # Names of sockets may not be long, which those of pytest's folders are.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self.nodes = [f"node{number}" for number in range(nodes)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Slurm:
        keeper = [sys.executable, str(Path(__file__).with_name("keeper.py")), str(self.folder), str(os.getpid())]
        self._keeper = subprocess.Popen(keeper, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            self._configure()
            munge = ["--key-file", f"{self.folder}/munge.key", "--log-file", f"{self.folder}/munged.log"]
            munge += ["--socket", f"{self.folder}/munge.socket", "--pid-file", f"{self.folder}/munged.pid"]
            munge += ["--seed-file", f"{self.folder}/munge.seed", "--num-threads", "1"]
            self._start("munged", "--foreground", "--force", *munge)
            self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-f", str(self.configuration))
            self._wait(lambda: self.ask("scontrol", "ping").returncode == 0, "slurmctld")
            for node in self.nodes:
                self._start("slurmd", "-D", "-N", node, "-f", str(self.configuration))
            self._wait(lambda: self.ask("sinfo", "-h", "-o", "%T").stdout.split() == ["idle"], "slurmd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Ends what runs, jobs first: their keepers are no children of these daemons."""
        with suppress(OSError, subprocess.SubprocessError, AssertionError):
            self.empty()
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._keeper.wait(timeout=30)  # it ends when the folder is gone

    def empty(self) -> None:
        """Ends all jobs, and returns when none is left."""
        until = time.monotonic() + 60
        while self.ask("squeue", "-h").stdout.strip():
            assert time.monotonic() < until, "jobs do not end"
            self.ask("scancel", "--state=PENDING")
            self.ask("scancel", "--full", "--signal=KILL", "--state=RUNNING")
            time.sleep(0.2)

    @property
    def configuration(self) -> Path:
        """The file all programs read."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What programs that ask this Slurm need in their environment."""
        return {"SLURM_CONF": str(self.configuration)}

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one of Slurm's programs to its end."""
        program = _path(words[0])
        assert program is not None
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            [program, *words[1:]], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def told(self) -> str:
        """Returns the ends of the daemons' logs."""
        return "\n".join(
            f"{log.name}: {line}"
            for log in sorted(self.folder.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()[-20:]
        )

    def _configure(self) -> None:
        for name in ("state", "munge.key", "plugstack.conf"):
            path = self.folder / name
            if name == "state":
                path.mkdir()
            elif name == "munge.key":
                path.touch(mode=0o600)
                path.write_bytes(secrets.token_bytes(1024))
            else:
                path.touch()
        import pwd

        # Slurm schedules what the file says the node has, whatever the machine has.
        node = "NodeName={} NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=2 RealMemory=1000 State=UNKNOWN"
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                host=socket.gethostname(),
                user=pwd.getpwuid(os.getuid()).pw_name,
                controller=_free_port(),
                nodes="\n".join(node.format(name, _free_port(), host=socket.gethostname()) for name in self.nodes),
            )
        )

    def _start(self, program: str, *words: str) -> None:
        path = _path(program)
        assert path is not None
        with open(self.folder / f"{program}.out", "ab") as said:
            self._processes.append(
                subprocess.Popen(
                    [path, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env={**os.environ, **self.environment},
                    start_new_session=True,
                )
            )

    def _wait(self, met: object, what: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not met():  # type: ignore[operator]
            if time.monotonic() > until or any(process.poll() is not None for process in self._processes):
                said = "\n".join(
                    f"{file.name}: {file.read_text(errors='replace')[-2000:]}" for file in self.folder.glob("*.out")
                )
                raise AssertionError(f"{what} does not come up\n{said}\n{self.told()}")
            time.sleep(0.1)
