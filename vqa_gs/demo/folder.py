"""A drawn world's folder: pictures, files, and a record of both that is written last and vouches for them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqa_gs.common.errors import DataError, UsageError
from vqa_gs.common.files import refuse_links, require_file, sha256_file, temporary_name, write_json
from vqa_gs.demo.drawing import draw
from vqa_gs.demo.scenes import Scene

_IMAGE_NAME = re.compile(r"^(\d{6}\.jpg|\.\d{6}\.jpg\.\d+(\.[0-9a-f]+)?\.tmp)$")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageBoxes:
    """One record of ``boxes.json``.

    Attributes:
        image_id: the image.
        path: its file.
        size: width and height in pixels.
        boxes: (R, 4) float32, x1, y1, x2, y2 in pixels.
    """

    image_id: int
    path: Path
    size: tuple[int, int]
    boxes: NDArray[np.float32]


def image_file(image_id: int) -> str:
    """Returns where an image lies in the folder."""
    return f"images/{image_id:06d}.jpg"


def read_image_boxes(file: Path) -> Iterator[ImageBoxes]:
    """Yields every image with its boxes from ``boxes.json``, in the file's order."""
    for record in json.loads(require_file(file, "boxes").read_text("utf-8")):
        yield ImageBoxes(
            record["image_id"],
            file.parent / record["file"],
            (record["width"], record["height"]),
            np.array(record["boxes"], dtype=np.float32).reshape(-1, 4),
        )


@dataclass(frozen=True)
class WorldFolder:
    """The folder of a world.

    Attributes:
        root: where it is.
        kind: what ``world.json`` calls its format.
        version: raised with every change of what a seed gives.
        settings: what the world is made with.
    """

    root: Path
    kind: str
    version: int
    settings: Mapping[str, Any]

    @property
    def _marker(self) -> Path:
        return self.root / "world.json"

    def is_finished(self) -> bool:
        """Says whether the folder holds this very world, whole.

        Raises:
            UsageError: it holds another one.
            DataError: its ``world.json`` is none.
        """
        marker = self._marker
        if not marker.exists():
            return False
        try:
            about = json.loads(require_file(marker, "world").read_text("utf-8"))
            kind, stored, version, files = (about[name] for name in ("format", "settings", "format_version", "files"))
            if not kind.startswith("vqa-gs-"):
                raise ValueError("another format")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("does not describe a world", file=marker, mend="choose another folder") from error
        if kind != self.kind or stored != self.settings or version != self.version:
            raise UsageError(
                "the folder holds a world of other settings",
                file=marker,
                mend="choose another folder or delete it",
            )
        try:
            if any(sha256_file(self.root / name) != digest for name, digest in files.items()):
                return False
            names = [record["file"] for record in json.loads((self.root / "boxes.json").read_text("utf-8"))]
            found = _hash_images((name, (self.root / name).read_bytes()) for name in names)
        except OSError:
            return False
        return bool(found == about["images_sha256"])

    def begin(self) -> None:
        """Makes the folder; what it holds is no finished world from now on."""
        try:
            (self.root / "images").mkdir(parents=True, exist_ok=True)
            self._marker.unlink(missing_ok=True)
            refuse_links(self.root)
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", file=self.root, mend="choose a writable folder"
            ) from error

    def draw(self, scenes: Sequence[tuple[str, Scene]], progress: Progress | None = None) -> str:
        """Draws scenes into files of the folder, removes pictures of an earlier attempt, returns a hash of all."""
        _remove_other_images(self.root / "images", {Path(name).name for name, _ in scenes})

        def images() -> Iterator[tuple[str, bytes]]:
            for number, (name, scene) in enumerate(scenes, start=1):
                content = _encode_image(scene)
                _write_image(self.root / name, content)
                yield name, content
                if progress is not None:
                    progress(number, len(scenes))

        return _hash_images(images())

    def finish(self, files: Mapping[Path, Any], images_sha256: str, about: Mapping[str, Any]) -> None:
        """Writes files as JSON, and after them what vouches for the world, with what else there is to say of it."""
        for path, content in files.items():
            write_json(path, content, indent=None)
        record = {
            "format": self.kind,
            "format_version": self.version,
            "settings": self.settings,
            **about,
            "files": {path.name: sha256_file(path) for path in files},
            "images_sha256": images_sha256,
        }
        write_json(self._marker, record)


def _encode_image(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    # Without colour subsampling a change stays within the 8 x 8 blocks it touches.
    draw(scene).save(buffer, format="JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def _write_image(path: Path, content: bytes) -> None:
    # Not flushed one by one, which would take longer than drawing: the hash in world.json vouches for all of
    # them.
    temporary = temporary_name(path)
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _hash_images(contents: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in contents:
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _remove_other_images(folder: Path, wanted: set[str]) -> None:
    """Removes pictures of an interrupted world; files with names that no world has are left alone."""
    for entry in folder.iterdir():
        if entry.name not in wanted and _IMAGE_NAME.match(entry.name):
            with suppress(OSError):
                entry.unlink()
