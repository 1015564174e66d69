"""Files that are whole or absent: atomic writing, hashing, opening with a clear error."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vqa_gs.common.errors import DataError

StrPath = str | os.PathLike[str]

_WRITE_FAILED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_stale(path: Path) -> None:
    """Removes what killed writers of ``path`` left behind; a living writer's file is left alone."""
    pattern = re.compile(rf"^\.{re.escape(path.name)}\.(\d+)(?:\.[0-9a-f]+)?\.tmp$")
    for entry in path.parent.iterdir():
        match = pattern.match(entry.name)
        if match and not _is_alive(int(match.group(1))):
            with suppress(OSError):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@contextmanager
def writing(path: StrPath, temporary: StrPath | None = None) -> Iterator[None]:
    """A block that writes a file; what the system refuses becomes one line that names the file.

    Args:
        path: the file to be named.
        temporary: where it is written until it is whole, if elsewhere.

    Raises:
        DataError: the disk is full, or the place cannot be written to. Errors of other files, which the block may
            be reading, are left as they are.
    """
    try:
        yield
    except OSError as error:
        ours = {str(path), str(path if temporary is None else temporary)}
        if error.errno not in _WRITE_FAILED and str(error.filename) not in ours:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise DataError(
            f"cannot be written: {os.strerror(error.errno or errno.EIO)}",
            file=path,
            mend="make room, then call again" if full else "choose a writable place",
        ) from error


@contextmanager
def atomic_path(path: StrPath) -> Iterator[Path]:
    """Yields a temporary name beside ``path``; on leaving without an error it becomes ``path`` in one step.

    The file is flushed to disk before the rename and the folder after it, so that after a crash the name holds
    either the old content or the whole new one. On an error the temporary file is removed. What an earlier,
    killed writer left behind is removed on entry.

    Raises:
        DataError: the folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise DataError("is a folder, a file was to be written", file=target, mend="choose another name")
        _remove_stale(target)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", file=target, mend="choose a writable place") from error
    temporary = temporary_name(target)
    try:
        with writing(target, temporary):
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
            sync_folder(target.parent)
    finally:
        # What cannot be removed either, as on a file system that was made read-only, is told of above.
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: StrPath) -> Iterator[Path]:
    """Yields a new folder beside ``path``; on leaving without an error it becomes ``path``, otherwise it is removed.

    Raises:
        DataError: there is something under the name already, the place cannot be written to, or the disk is full.
    """
    target = Path(path)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError("is there already", file=target, mend="remove it, or choose another name")
    temporary = temporary_name(target)
    try:
        with writing(target, temporary):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(target)
            temporary.mkdir()
            yield temporary
            os.replace(temporary, target)
            sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_name(target: Path) -> Path:
    """Returns a name beside a file that nobody can have put a link at."""
    return target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(8)}.tmp")


def open_own(path: StrPath, flags: int) -> int:
    """Opens a file that is written to in place; one that is made is readable as the user's mask says.

    Args:
        path: the file.
        flags: as for ``os.open``.

    Returns:
        The descriptor.

    Raises:
        DataError: there is a link or something else than a file under the name: another file would be overwritten.
        OSError: it cannot be opened.
    """
    taken = DataError("is a link or no file, something else would be overwritten", file=path, mend="remove it")
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise taken from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise taken
    return descriptor


def append_text(path: StrPath, text: str) -> None:
    """Adds text to the end of a file, as UTF-8; as `open_own`."""
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def refuse_links(folder: Path) -> None:
    """Raises DataError where an entry of a folder that is written to is a link: it would lead out of the folder."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise DataError("is a link, a file or folder was expected", file=entry.path, mend="remove it")


def sync_folder(folder: StrPath) -> None:
    """Flushes a folder's entries to disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: StrPath, content: bytes) -> None:
    """Writes ``content`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: StrPath, content: str) -> None:
    """Writes ``content`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: StrPath, value: Any, *, indent: int | None = 2) -> None:
    """Writes ``value`` to ``path`` atomically, as JSON in UTF-8."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def require_file(path: StrPath, what: str) -> Path:
    """Returns ``path`` if it is a readable file.

    Args:
        path: the file.
        what: what the file is to hold, for the message ("questions", "region store").

    Raises:
        DataError: it is missing, a folder or not readable.
    """
    file = Path(path)
    try:
        there = file.exists()
    except OSError as error:  # a name that is too long, a loop of links, a folder that may not be entered
        raise DataError(f"no {what} file can be here: {error.strerror}", file=file, mend="check the path") from error
    if file.is_dir():
        raise DataError(f"is a folder, expected a {what} file", file=file)
    if not there:
        # A path in a configuration looks as if it were relative to the configuration.
        told = "" if file.is_absolute() else f", which is relative to {Path.cwd()}"
        raise DataError(f"no such {what} file", file=file, mend=f"check the path{told}")
    if file.is_fifo() or file.is_socket():
        raise DataError(f"is a pipe, expected a {what} file", file=file, mend="write what comes through it to a file")
    if not os.access(file, os.R_OK):
        raise DataError(f"the {what} file cannot be read", file=file, mend="check its permissions")
    return file


def sha256_file(path: StrPath) -> str:
    """Returns the SHA-256 of a file's bytes as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
