"""Fault tests: `convert` and `export` killed at random moments leave whole files, or none, and no litter for good."""

from __future__ import annotations

import multiprocessing
import random
import time

import pytest
from vqa_gs.features.convert import convert
from vqa_gs.features.export import export
from vqa_gs.features.store import RegionStore


def _slowly(done, total):
    time.sleep(0.001)


def _kill_at_random(work, rounds, after):
    """Runs ``work`` so often in a fork, kills it somewhere between its beginning and its end, and calls ``after``."""
    context = multiprocessing.get_context("fork")

    def run(seconds):
        process = context.Process(target=work)
        process.start()
        process.join(seconds)
        process.kill()
        process.join()

    start = time.perf_counter()
    run(None)
    length = time.perf_counter() - start
    after()
    chance = random.Random(0)
    for _ in range(rounds):
        run(chance.uniform(0, 1.1 * length))
        after()


def _tsv(make_store, tmp_path):
    path, _ = make_store(ids=range(150), counts=[3] * 150, dim=64, dtype="float32", name="origin.h5")
    export(path, tmp_path / "source.tsv", "tsv")
    return tmp_path / "source.tsv"


@pytest.mark.parametrize("rounds", [pytest.param(4, id="few"), pytest.param(50, id="fifty", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["tsv", "hdf5"])
def test_convert(make_store, make_adaptive, tmp_path, hidden_files, rounds, kind):
    if kind == "tsv":
        source = _tsv(make_store, tmp_path)
    else:
        source, _ = make_adaptive(ids=range(150), counts=[3] * 150, dim=64)
    expected, out = tmp_path / "expected.h5", tmp_path / "out.h5"
    convert(source, expected)
    whole = expected.read_bytes()
    seen = {True: 0, False: 0}

    def after():
        seen[out.exists()] += 1
        assert len(hidden_files()) <= 1, "an earlier killed writer's file was not removed"
        if out.exists():
            assert out.read_bytes() == whole
            out.unlink()

    _kill_at_random(lambda: convert(source, out, progress=_slowly), rounds, after)
    assert seen[False], "every kill came too late"
    convert(source, out)
    assert out.read_bytes() == whole
    assert hidden_files() == []


@pytest.mark.parametrize("rounds", [pytest.param(2, id="few"), pytest.param(25, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("format", ["tsv", "hdf5-adaptive"])
def test_export(make_store, tmp_path, hidden_files, rounds, format):
    path, _ = make_store(ids=range(150), counts=[3] * 150, dim=64, dtype="float32", name="origin.h5")
    out, back = tmp_path / "out", tmp_path / "back.h5"

    def after():
        assert len(hidden_files()) <= 2
        if out.exists():
            convert(out, back)
            assert RegionStore(back).content_hash == RegionStore(path).content_hash
            out.unlink()

    _kill_at_random(lambda: export(path, out, format, progress=_slowly), rounds, after)
    export(path, out, format)
    assert hidden_files() == []
