"""An extraction on a real Slurm: shards, a failed one done again, and the bytes of one piece."""

from tests.cluster.conftest import wait_until
from vqa_gs.cli import main
from vqa_gs.cluster.records import Records

SMALL = ["--backbone", "resnet10t", "--weights", "random", "--short-side", "32", "--long-side", "64", "--workers", "1"]
SMALL += ["--regions", "10", "--batch-size", "2", "--on-error", "stop", "--device", "cpu"]


def test_shards_a_failed_one_and_their_merge(slurm, noise_pictures, tmp_path, capfd):
    images = noise_pictures([f"{number}.png" for number in range(1, 8)], 30, 60)
    out = tmp_path / "regions.h5"
    broken = images / "5.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:50])

    def extract(*more):
        return main(["features", "extract", "--images", str(images), "--out", str(out), *SMALL, *more])

    on_slurm = ["--on", "slurm", "--shards", "2"]
    assert extract(*on_slurm) == 2
    said = capfd.readouterr().err
    assert "2 of 2 shards submitted" in said
    assert "regions.h5 is not made; 2/2: " in said
    assert "5.png" in said.splitlines()[-1]
    first = tmp_path / "regions.shard-1-of-2.h5"
    made = first.stat().st_mtime_ns
    assert not out.exists()
    wait_until(lambda: not slurm.ask("squeue", "-h").stdout.strip())

    broken.write_bytes(whole)
    assert extract(*on_slurm, "--detach") == 0
    assert "1 of 2 shards submitted" in capfd.readouterr().err
    assert first.stat().st_mtime_ns == made
    assert extract(*on_slurm) == 0
    assert "0 of 2 shards submitted" in capfd.readouterr().err
    kinds = [(one.kind, len(one.tasks)) for one in Records(tmp_path / "regions.slurm").submissions()]
    assert kinds == [("shards", 2), ("merge", 1), ("shards", 1), ("merge", 1)]
    assert not list(tmp_path.glob("*.shard-*"))

    merged = out.read_bytes()
    out.unlink()
    assert extract() == 0
    assert out.read_bytes() == merged
    wait_until(lambda: not slurm.ask("squeue", "-h").stdout.strip())
    assert extract(*on_slurm) == 0
    assert "is finished already" in capfd.readouterr().out
