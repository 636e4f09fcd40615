"""A backup in the place of a data folder: checked whole, then put there by renames."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from memeapp.archives import BROKEN, check_entry
from memeapp.errors import BadInput, BadSetting, MemeAppError, Mismatch
from memeapp.registry import Registry
from memeapp.service.backup import (
    CHUNK,
    CONTENTS,
    FORMAT,
    Contents,
    check_room,
    told_if_full,
    versions_in,
)
from memeapp.service.bundle_json import read_json
from memeapp.service.features import Report
from memeapp.service.swap import DATABASE, PARTS, SECRETS, Swap, resume, swap
from memeapp.store import Store
from memeapp.store.copies import check_sound
from memeapp.store.lock import UNFINISHED, alone

MAX_CONTENTS = 256 * 2**20
"""Bytes of `backup.json`: a million memes."""
STAGED = ".restoring-"
"""Start of the name of the folder that a backup is unpacked in."""

_TAKEN = re.compile(
    r"memeapp\.db|secret\.key|admin\.hash|backup\.json"
    r"|pictures/([0-9a-f]{2})/\1[0-9a-f]{62}\.jpg"
    r"|models/current|models/[A-Za-z0-9][A-Za-z0-9._-]{0,80}(/[A-Za-z0-9][A-Za-z0-9._-]{0,100})?"
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore."""

    contents: Contents
    versions: int
    kept: Path | None
    """Where what was in the folder lies now; None if there was nothing."""
    notices: tuple[str, ...]


def restore(file: Path, folder: Path, report: Report, *, by: str) -> Restored:
    """Put a backup in the place of a data folder, which is moved aside, or into a new one.

    All is unpacked within the folder and checked before anything that was there is touched. The
    rest is a handful of renames within one disk, written down before the first: interrupted in
    them, the folder opens no more until the same call has gone on from there.

    Args:
        by: who it is, for the audit.

    Raises:
        BadInput: it is no backup, is damaged, or holds something that is not taken.
        Mismatch: a newer program made it.
        Busy: an app, a job or a command uses the folder.
        BadSetting: the folder cannot be used, or what is in it cannot be moved.
        DiskFull: there is no room to unpack it.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            content, contents = _contents(archive)
            backup = hashlib.sha256(content).hexdigest()
            _make(folder)
            with alone(folder):
                plan = resume(folder)
                notices: tuple[str, ...] = ()
                if plan is None or plan.backup != backup:
                    plan, notices = _restored(archive, contents, backup, folder, report, by)
    except BROKEN as error:
        raise BadInput(
            f"{file} is no backup, or it is damaged ({error}). Nothing was changed."
        ) from error
    kept = folder / plan.kept
    versions = len(versions_in(contents.files))
    return Restored(contents, versions, kept if kept.exists() else None, notices)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"The folder {folder} cannot be used ({error.strerror}).") from error


def _contents(archive: zipfile.ZipFile) -> tuple[bytes, Contents]:
    """What a backup says of itself, once all its entries are of a kind that is taken."""
    names: set[str] = set()
    for info in archive.infolist():
        name, entry = info.orig_filename, f"Entry {info.orig_filename[:80]!r} of the backup"
        if not _TAKEN.fullmatch(name):
            raise BadInput(f"{entry} does not belong there: that is no backup of a data folder.")
        if name in names:
            raise BadInput(f"{entry} is there twice.")
        check_entry(info, entry)
        names.add(name)
    if folders := names & {name.rpartition("/")[0] for name in names}:
        raise BadInput(f"Entry {min(folders)!r} of the backup is both a file and a folder.")
    if not names >= {DATABASE, CONTENTS}:
        raise BadInput(f"{archive.filename} is no backup: it has no {DATABASE} or no {CONTENTS}.")
    if archive.getinfo(CONTENTS).file_size > MAX_CONTENTS:
        raise BadInput(f"{CONTENTS} has more than {MAX_CONTENTS:,} bytes.")
    content = archive.read(CONTENTS)
    if (stated := _format(content)) != FORMAT:
        raise Mismatch(
            f"The backup has the format {stated!r}, this program reads {FORMAT}; use the program's "
            "version that made it, or a newer one."
        )
    contents = read_json(content, CONTENTS, Contents)
    if odd := sorted(set(contents.files) ^ (names - {CONTENTS})):
        raise BadInput(f"{odd[0][:80]!r} is in the backup or in its {CONTENTS}, but not in both.")
    return content, contents


def _format(content: bytes) -> object:
    raw = json.loads(content)
    return raw.get("format") if isinstance(raw, dict) else None


def _restored(
    archive: zipfile.ZipFile,
    contents: Contents,
    backup: str,
    folder: Path,
    report: Report,
    by: str,
) -> tuple[Swap, tuple[str, ...]]:
    """Unpack, check and put in place; gives how, and what is not as it should be."""
    infos = [info for info in archive.infolist() if info.filename != CONTENTS]
    for left in folder.glob(f"{STAGED}*"):
        shutil.rmtree(left, ignore_errors=True)
    check_room(folder, sum(info.file_size for info in infos))
    staged = Path(tempfile.mkdtemp(dir=folder, prefix=STAGED))
    try:
        with told_if_full(folder):
            for done, info in enumerate(infos):
                report(f"{done:,} of {len(infos):,} files", done / len(infos))
                _extract(archive, info, staged / info.filename, contents.files[info.filename])
            report("Checking", 1.0)
            notices = _checked(staged, contents, by)
        parts = tuple(name for name in PARTS if (staged / name).exists())
        plan = Swap(backup, staged.name, _name_of_kept(folder), parts)
        swap(folder, plan)
    finally:
        if not (folder / UNFINISHED).exists():
            shutil.rmtree(staged, ignore_errors=True)
    return plan, notices


def _name_of_kept(folder: Path) -> str:
    name = f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    taken = {path.name for path in folder.glob(f"{name}*")}
    return next(free for n in count(1) if (free := f"{name}-{n}" if n > 1 else name) not in taken)


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, digest: str) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = hashlib.sha256()
    # A file never grows beyond the size that was judged: zipfile stops reading there.
    with archive.open(info) as source, target.open("xb") as copy:
        while piece := source.read(CHUNK):
            found.update(piece)
            copy.write(piece)
    if info.filename in SECRETS:
        target.chmod(0o600)
    if found.hexdigest() != digest:
        raise BadInput(
            f"{info.filename} has the SHA-256 {found.hexdigest()}, {CONTENTS} names {digest}: the "
            "backup is damaged. Nothing was changed."
        )


def _checked(staged: Path, contents: Contents, by: str) -> tuple[str, ...]:
    """Bring what was unpacked up to date and note the restore in it; gives what is missing there.

    Raises:
        BadInput: the database is damaged, or is not the one that the backup tells of.
        Mismatch: a newer program made it.
    """
    check_sound(staged / DATABASE)
    with closing(Store(staged)) as store:
        found = (len(memes := store.memes()), store.last_vote())
        if found != (contents.memes, contents.last_vote):
            raise BadInput(
                f"The database has {found[0]:,} memes and votes up to number {found[1]:,}, "
                f"{CONTENTS} tells of {contents.memes:,} and {contents.last_vote:,}."
            )
        missing = [meme.id for meme in memes if not store.picture_path(meme.id).exists()]
        if unexpected := set(missing) - set(contents.missing):
            raise BadInput(f"The picture of the meme {min(unexpected)} is not in the backup.")
        store.note(by, "backup.restore", contents.made_at.isoformat(timespec="seconds"))
    notices = [f"The pictures of {len(missing):,} memes were missing already."] if missing else []
    return (*notices, *_unusable(staged / "models", versions_in(contents.files)))


def _unusable(folder: Path, names: set[str]) -> Iterator[str]:
    """A sentence for each version that does not load. It is in the backup as it was in the app, and
    keeps nobody from the votes."""
    registry = Registry(folder / "none", folder)
    for name in sorted(names):
        try:
            registry.load(name)
        except MemeAppError as error:
            yield f"{name} was unusable already when the backup was made: {error}"
