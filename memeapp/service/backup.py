"""The data folder as one file, written while people label and trainings run."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from memeapp import __version__
from memeapp.disk import sync
from memeapp.errors import BadInput, DiskFull, NotFound
from memeapp.registry import Registry
from memeapp.service.bundle_json import Hash, Word
from memeapp.service.features import Report
from memeapp.service.swap import DATABASE, SECRETS
from memeapp.store import Store
from memeapp.store.copies import check_sound

FORMAT = 1
CONTENTS = "backup.json"
"""Names every other file with its SHA-256."""
SPARE = 64 * 2**20
"""Bytes that stay free on the disk for what is written meanwhile."""
CHUNK = 2**20


class Contents(BaseModel):
    """`backup.json`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: int
    app: Word
    """Version of the program."""
    made_at: AwareDatetime
    memes: int
    last_vote: int
    """Number of the newest vote; 0 without any."""
    missing: list[Hash]
    """The memes whose pictures were not there."""
    files: dict[str, Hash]


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a backup."""

    memes: int
    votes: int
    versions: int
    missing: tuple[str, ...]
    """The memes whose pictures were not there."""
    bytes: int


def back_up(
    store: Store,
    registry: Registry,
    file: Path,
    report: Report,
    *,
    secrets: bool = True,
    force: bool = False,
) -> Made:
    """Write the data folder to a file, as it is at one instant.

    Every vote that was recorded before the call is in it, and none without those before it.
    Pictures and versions never change, so they are copied after the database that names them.
    If anything fails, nothing is left behind and what was in the file's place stays.

    Args:
        secrets: with `SECRETS`, so that cookies and the password go on working.
        force: replace a file of this name.

    Raises:
        BadInput: the file is there already, its folder is not, or the database is damaged.
        DiskFull: there is no room for it.
        OSError: the file cannot be written.
    """
    within = file.absolute().parent
    if not within.is_dir():
        raise BadInput(f"There is no folder {within}; make it, or choose another place.")
    if file.exists() and not force:
        raise BadInput(f"{file} is there already; choose another name, or use --force.")
    check_room(within, _bytes_of(store))
    with (
        told_if_full(within),
        tempfile.TemporaryDirectory(dir=within, prefix=f".{file.name}-") as temporary,
    ):
        folder, archive = Path(temporary), Path(temporary, "backup.zip")
        report("Copying the database", 0.0)
        meme_ids, last_vote = _copied(store, folder)
        made_at = datetime.now(UTC)
        archive.touch(mode=0o600)
        with zipfile.ZipFile(archive, "w") as zipped:
            entries = _Entries(zipped)
            entries.add(DATABASE, folder / DATABASE)
            (folder / DATABASE).unlink()
            missing = entries.add_pictures(store, meme_ids, report)
            with registry.held() as files:
                for one in files:
                    entries.add(f"models/{one.relative_to(store.folder / 'models')}", one)
            for name in SECRETS if secrets else ():
                with suppress(FileNotFoundError):
                    entries.add(name, store.folder / name)
            contents = Contents(
                format=FORMAT,
                app=__version__,
                made_at=made_at,
                memes=len(meme_ids),
                last_vote=last_vote,
                missing=missing,
                files=entries.hashes,
            )
            zipped.writestr(CONTENTS, contents.model_dump_json(indent=1))
        report("Writing it to the disk", 1.0)
        sync(archive)
        size = archive.stat().st_size
        archive.replace(file)
        sync(within)
    versions = len(versions_in(contents.files))
    return Made(len(meme_ids), last_vote, versions, tuple(missing), size)


def versions_in(files: Iterable[str]) -> set[str]:
    """The names of the versions that these files of a backup are of."""
    paths = [name.split("/") for name in files]
    return {path[1] for path in paths if path[0] == "models" and len(path) == 3}


def check_room(folder: Path, wanted: int) -> None:
    """Raises: DiskFull, if the disk of the folder has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if wanted + SPARE > free:
        raise DiskFull(
            f"The disk of {folder} has {free / 2**20:,.0f} MB free, and "
            f"{(wanted + SPARE) / 2**20:,.0f} MB are needed; make room. Nothing was changed."
        )


@contextmanager
def told_if_full(folder: Path) -> Iterator[None]:
    """Raises: DiskFull, where the disk takes no more."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(f"The disk of {folder} is full; make room. Nothing was changed.") from error


def _bytes_of(store: Store) -> int:
    """What a backup takes while it is made, at most: of the database there are two copies then."""
    files = (
        file
        for name in ("pictures", "models")
        for file in (store.folder / name).rglob("*")
        if file.is_file()
    )
    return 2 * store.size() + sum(file.stat().st_size for file in files)


def _copied(store: Store, folder: Path) -> tuple[list[str], int]:
    """Copy the database into a folder; gives the memes in it and the number of its last vote."""
    store.copy_database(folder / DATABASE)
    check_sound(folder / DATABASE)
    with closing(Store(folder)) as copy:
        return [meme.id for meme in copy.memes()], copy.last_vote()


class _Entries:
    """The files of a backup, each written as it is and hashed on the way."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.hashes: dict[str, str] = {}

    def add(self, name: str, file: Path) -> None:
        """Raises: FileNotFoundError, before anything is written, if it is not there."""
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o600 << 16
        with file.open("rb") as source:
            entry.file_size = os.fstat(source.fileno()).st_size
            found = hashlib.sha256()
            with self._archive.open(entry, "w") as target:
                while piece := source.read(CHUNK):
                    found.update(piece)
                    target.write(piece)
        self.hashes[name] = found.hexdigest()

    def add_pictures(self, store: Store, meme_ids: list[str], report: Report) -> list[str]:
        """The pictures of these memes; gives the memes that have none."""
        missing = []
        for done, id in enumerate(meme_ids):
            report(f"{done:,} of {len(meme_ids):,} pictures", done / len(meme_ids))
            try:
                self.add(f"pictures/{id[:2]}/{id}.jpg", store.picture_path(id))
            except (FileNotFoundError, NotFound):
                missing.append(id)
        return missing
