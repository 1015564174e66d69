import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from vqa_gs.common.errors import DataError, UsageError, VqaGsError
from vqa_gs.common.files import (
    append_text,
    atomic_folder,
    atomic_path,
    open_own,
    require_file,
    sha256_file,
    write_json,
    write_text,
    writing,
)


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_killed_writers_file_is_cleaned_up_and_a_living_ones_is_not(tmp_path):
    code = (
        "import sys, time\nfrom vqa_gs.common.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n    t.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    target = tmp_path / "x.txt"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    write_text(target, "mine")
    assert len(list(tmp_path.iterdir())) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.05)
    assert target.read_text() == "mine"
    write_text(target, "again")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_errors_are_one_line_and_survive_pickling(tmp_path):
    import pickle

    error = DataError("is\nwrong", file="a\nb", record="row 3", mend="mend it")
    assert str(error) == "a b: row 3: is wrong (mend it)"
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is DataError
    assert str(copied) == str(error)
    assert issubclass(UsageError, VqaGsError)
    with pytest.raises(DataError, match="no such questions file"):
        require_file(tmp_path / "none", "questions")
    with pytest.raises(DataError, match="is a folder"):
        require_file(tmp_path, "questions")
    with pytest.raises(DataError, match="no questions file can be here: File name too long"):
        require_file(tmp_path / ("x" * 5000), "questions")


def test_hash_and_json(tmp_path):
    write_json(tmp_path / "a.json", {"é": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "é": 1\n}\n'
    write_text(tmp_path / "b", "abc")
    assert sha256_file(tmp_path / "b") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "c.json", float("nan"))
    assert not (tmp_path / "c.json").exists()


def test_writing_names_its_file_and_leaves_other_errors_alone(tmp_path):
    out, hidden = tmp_path / "out.csv", tmp_path / ".tmp"
    with (
        pytest.raises(DataError, match=r"out\.csv: cannot be written: No space left on device \(make room"),
        writing(out),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    refused = pytest.raises(DataError, match=r"out\.csv: cannot be written: Permission denied \(choose a writable")
    with refused, writing(out, hidden):
        raise PermissionError(errno.EACCES, "Permission denied", str(hidden))
    # An error of a file that is being read meanwhile is not the written one's.
    with pytest.raises(FileNotFoundError), writing(tmp_path / "out.csv"):
        open(tmp_path / "nowhere").close()


def test_full_disk_removes_the_temporary_file(tmp_path):
    with pytest.raises(DataError, match="cannot be written"), atomic_path(tmp_path / "out") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_links_beside_a_file_are_never_followed(tmp_path):
    victim, target = tmp_path / "victim", tmp_path / "x.txt"
    victim.write_text("mine")
    # Every name that a program of another process id or of an earlier version could be guessed to take.
    for pid in range(os.getpid() - 2, os.getpid() + 3):
        (tmp_path / f".x.txt.{pid}.tmp").symlink_to(victim)
    target.symlink_to(victim)
    write_text(target, "written")
    assert victim.read_text() == "mine"
    assert not target.is_symlink()
    with atomic_path(target) as one, atomic_path(target) as other:
        assert one != other
        for path in (one, other):
            assert path.is_file()
            assert not path.is_symlink()


def test_files_written_in_place_are_no_links_and_no_pipes(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "symbolic").symlink_to(victim)
    os.link(victim, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "made")
    for name in ("symbolic", "hard", "pipe", "folder", "dangling"):
        for flags in (os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND | os.O_CREAT):
            with pytest.raises(DataError, match="is a link or no file"):
                open_own(tmp_path / name, flags)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "made").exists()
    append_text(tmp_path / "own", "a\n")
    append_text(tmp_path / "own", "b\ud800")
    assert (tmp_path / "own").read_text() == "a\nb\\ud800"


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(DataError, match="is a pipe, expected a questions file"):
        require_file(tmp_path / "x", "questions")


def test_what_cannot_be_removed_hides_nothing(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    with pytest.raises(DataError, match="cannot be written: Read-only"), atomic_path(tmp_path / "out"):
        monkeypatch.setattr(type(tmp_path), "unlink", refuse)
        raise OSError(errno.EROFS, "Read-only file system")


def test_a_folder_is_whole_or_absent(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "x").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as folder:
        (folder / "x").write_text("whole")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (target / "x").read_text() == "whole"
    with pytest.raises(DataError, match="is there already"), atomic_folder(target):
        pass


def test_what_a_killed_writer_of_a_folder_left_is_removed(tmp_path):
    left = tmp_path / f".made.{2**22 + 1}.00ff.tmp"
    left.mkdir()
    (left / "x").write_text("half")
    with atomic_folder(tmp_path / "made") as folder:
        (folder / "y").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
