"""Files that arrive in pieces, in a folder of our own under names of our own, until imported."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memeapp.errors import BadInput, NotFound, NotSaved
from memeapp.service.transfer import TABLES

CHUNK = 8 * 2**20
"""Bytes of a piece, at most."""
SPARE = 512 * 2**20
"""Bytes that stay free on the disk, for the votes that come in meanwhile."""
STALE_SECONDS = 7 * 24 * 3600.0
KINDS = (".zip", *TABLES)
LONGEST_NAME = 60
"""Characters of a data set's name."""

_ID = re.compile("[0-9a-f]{32}")


class WrongOffset(BadInput):
    """A piece that does not go on where the file ends; `offset` says where that is."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in."""

    id: str
    name: str
    """What the sender calls it, for people."""
    size: int
    """Bytes it will have."""
    path: Path
    kind: str
    """One of `KINDS`."""

    @property
    def offset(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def complete(self) -> bool:
        return self.offset == self.size

    @property
    def data_set(self) -> str:
        """What the data set is called: the sender's name without folders and ending."""
        last = re.split(r"[/\\]", self.name)[-1]
        stem = last[: -len(self.kind)]
        plain = "".join(one if one.isprintable() else " " for one in stem)
        return " ".join(unicodedata.normalize("NFC", plain).split())[:LONGEST_NAME] or "upload"


class Incoming:
    """The uploads of one data folder; the caller has checked who sends."""

    def __init__(self, data: Path, max_mb: int) -> None:
        """`max_mb`: megabytes that a file may have."""
        self._folder = data / "incoming"
        self._max_mb = max_mb
        self._lock = threading.Lock()

    def begin(self, name: str, size: int, mark: str) -> Upload:
        """A place for a file; the same name, size and mark find the one that is there.

        Args:
            size: in bytes.
            mark: something that tells apart files of one name and size.

        Raises:
            BadInput: the kind of file is not taken, it is empty or too large, or the disk has no
                room for it.
            NotSaved: the disk takes nothing.
        """
        kind = next((kind for kind in KINDS if name.lower().endswith(kind)), None)
        if kind is None:
            raise BadInput(
                f"{name[-80:]!r} is not taken; choose a zip of memes, or a table of votes "
                f"({', '.join(TABLES)})."
            )
        if not 0 < size <= self._max_mb * 2**20:
            raise BadInput(
                f"{name[-80:]!r} has {size / 2**20:,.0f} MB; a file may have 1 byte to "
                f"{self._max_mb:,} MB (MEMEAPP_MAX_IMPORT_MB). Split it."
            )
        id = hashlib.sha256(json.dumps([name, size, mark]).encode()).hexdigest()[:32]
        upload = Upload(id, name, size, self._folder / f"{id}{kind}", kind)
        with self._lock, _told_if_full():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            free = shutil.disk_usage(self._folder).free
            wanted = 2 * size - upload.offset + SPARE  # it is unpacked beside itself
            if wanted > free:
                raise BadInput(
                    f"{name[-80:]!r} needs {wanted / 2**20:,.0f} MB on the server's disk to be "
                    f"stored and unpacked, and {free / 2**20:,.0f} MB are free; make room, or "
                    "split it."
                )
            upload.path.touch()
            note = self._folder / f"{id}.json"
            note.write_text(json.dumps({"name": name, "size": size, "kind": kind}), "utf-8")
        return upload

    def put(self, id: str, offset: int, piece: bytes) -> Upload:
        """Append a piece.

        Raises:
            WrongOffset: the file does not end at `offset`.
            BadInput: the piece is too large, or the file would be.
            NotFound: there is no such upload.
            NotSaved: the disk is full; what was there before stays.
        """
        if not 0 < len(piece) <= CHUNK:
            raise BadInput(f"A piece has 1 to {CHUNK:,} bytes, not {len(piece):,}.")
        with self._lock, _told_if_full():
            upload = self.find(id)
            there = upload.offset
            if offset != there:
                raise WrongOffset(f"{there:,} bytes are there; go on from that.", there)
            if there + len(piece) > upload.size:
                raise BadInput(
                    f"{upload.name[-80:]!r} would have {there + len(piece):,} bytes, "
                    f"{upload.size:,} were announced; choose it again."
                )
            try:
                with upload.path.open("ab") as file:
                    file.write(piece)
            except OSError:
                os.truncate(upload.path, there)
                raise
        return upload

    def finished(self, id: str) -> Upload:
        """An upload that is there as a whole.

        Raises:
            WrongOffset: something is missing.
            NotFound: there is no such upload.
        """
        upload = self.find(id)
        if not upload.complete:
            raise WrongOffset(
                f"{upload.offset:,} of {upload.size:,} bytes of {upload.name[-80:]!r} are there; "
                "send the rest first.",
                upload.offset,
            )
        os.utime(upload.path)  # it counts from now until it is stale
        return upload

    def find(self, id: str) -> Upload:
        """Raises: NotFound."""
        note = self._folder / f"{id}.json"
        if not _ID.fullmatch(id) or not note.is_file():
            raise NotFound("There is no such upload; choose the file again.")
        said = json.loads(note.read_text("utf-8"))
        path = self._folder / f"{id}{said['kind']}"
        return Upload(id, said["name"], said["size"], path, said["kind"])

    def all(self) -> list[Upload]:
        """Those that were begun and not imported yet, in the order of their names."""
        uploads = []
        for note in self._folder.glob("*.json"):
            with contextlib.suppress(NotFound):  # somebody has just removed it
                uploads.append(self.find(note.stem))
        return sorted(uploads, key=lambda upload: (upload.name, upload.id))

    def remove(self, id: str) -> None:
        """Raises: NotFound."""
        upload = self.find(id)
        (self._folder / f"{id}.json").unlink(missing_ok=True)
        upload.path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what nobody has added to for a week."""
        stale = time.time() - STALE_SECONDS
        for upload in self.all():
            if not upload.path.exists() or upload.path.stat().st_mtime < stale:
                self.remove(upload.id)


@contextlib.contextmanager
def _told_if_full() -> Iterator[None]:
    """Raises: NotSaved, where the disk does not take it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "is full; make room" if full else f"cannot be written ({error.strerror})"
        raise NotSaved(f"The server's disk {why}. The upload goes on where it was.") from error
