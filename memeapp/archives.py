"""Zips: those from outside are judged by their table of contents, then unpacked into a folder of
our own; ours are packed."""

from __future__ import annotations

import fcntl
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from memeapp.errors import BadInput, Busy

MAX_ENTRIES = 50_000
MAX_BYTES = 8 * 2**30
"""Of all files together, unpacked, where nothing else is said."""
MAX_RATIO = 100
"""Unpacked to packed; small files may shrink by more."""
SMALL = 2**20
ENTRY_BYTES = 512
"""Of the table of contents for each entry, on average."""
MAX_NAME_BYTES = 200
"""Of a file's or folder's name, as UTF-8."""
MAX_DEPTH = 8
NESTED = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".jar")
CHUNK = 2**20
UNPACKED = "unpacked"

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)
"""What `zipfile` raises on a file that is no zip or a damaged one."""
_IGNORED = ("__MACOSX", "Thumbs.db")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def unpacked(
    archive: Path,
    within: Path,
    *,
    max_bytes: int | None = None,
    on_file: Callable[[int, int], None] = lambda done, files: None,
) -> Iterator[Path]:
    """The folder that a zip holds, unpacked below `within` while the context lasts.

    One archive at a time; what an interrupted run left is removed first. A single folder at the
    top of the zip is entered. Hidden files are left out.

    Args:
        max_bytes: of all files together, unpacked; `MAX_BYTES` if None.
        on_file: called with files done and files in all before each of them.

    Raises:
        BadInput: the file is no zip, is damaged, or has an entry that is not taken; the message
            names the entry and the limit, and nothing was unpacked.
        Busy: another archive is being unpacked there.
    """
    with own_folder(within) as folder:
        _unpack(archive, folder, MAX_BYTES if max_bytes is None else max_bytes, on_file)
        yield _top(folder)


@contextmanager
def own_folder(within: Path) -> Iterator[Path]:
    """An empty folder for what is imported, there while the context lasts.

    Raises:
        Busy: another import is using it.
    """
    within.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = within / UNPACKED
    with (within / ".unpacking").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(f"Another archive is being imported into {within}; wait for it.") from error
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def pack(
    folder: Path, archive: Path, on_file: Callable[[int, int], None] = lambda done, files: None
) -> None:
    """Write a zip of a folder, under its name; pictures are stored, tables are squeezed.

    Args:
        on_file: called with files done and files in all before each of them.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(archive, "w") as packed:
        for done, path in enumerate(files):
            on_file(done, len(files))
            method = zipfile.ZIP_STORED if path.suffix == ".jpg" else zipfile.ZIP_DEFLATED
            packed.write(path, path.relative_to(folder.parent), compress_type=method)


def _unpack(
    archive: Path, folder: Path, max_bytes: int, on_file: Callable[[int, int], None]
) -> None:
    try:
        with archive.open("rb") as file:
            check_contents(file, MAX_ENTRIES, archive.name)
        with zipfile.ZipFile(archive) as opened:
            entries = _check(archive, opened.infolist(), max_bytes)
            free = shutil.disk_usage(folder).free
            wanted = sum(info.file_size for _, info in entries)
            if wanted > free:
                raise BadInput(
                    f"{archive.name} unpacks to {wanted:,} bytes, the disk of {folder.parent} has "
                    f"{free:,} free; make room."
                )
            for done, (name, info) in enumerate(entries):
                on_file(done, len(entries))
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # A file never grows beyond the size that was judged: zipfile stops reading there.
                with opened.open(info) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
    except BROKEN as error:
        raise BadInput(
            f"{archive.name} is no zip or is damaged ({error}); save it again as a plain zip."
        ) from error
    except OSError as error:
        raise BadInput(
            f"{archive.name} cannot be unpacked ({error.strerror or error}); save it again."
        ) from error


def _check(
    archive: Path, infos: Sequence[zipfile.ZipInfo], max_bytes: int
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The files to unpack under their names. Raises: BadInput, if one entry is not taken."""
    if len(infos) > MAX_ENTRIES:
        raise BadInput(
            f"{archive.name} has {len(infos):,} entries, {MAX_ENTRIES:,} are allowed; split it."
        )
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    folders: set[PurePosixPath] = set()
    total = 0
    for info in infos:
        entry = f"{archive.name}, entry {info.orig_filename[:120]!r}"
        name = _name(info, entry)
        if any(part.startswith(".") or part in _IGNORED for part in name.parts):
            continue
        folders.update(name.parents)
        if info.is_dir():
            folders.add(name)
            continue
        check_entry(info, entry)
        if name.suffix.lower() in NESTED:
            raise BadInput(f"{entry}: is an archive within the archive; unpack it first.")
        if name in files:
            raise BadInput(f"{entry}: this name is in the archive twice; give each its own.")
        files[name] = info
        total += info.file_size
        if total > max_bytes:
            raise BadInput(
                f"{entry}: up to here it unpacks to {total:,} bytes, {max_bytes:,} are allowed; "
                "split it."
            )
    if both := sorted(folders & set(files)):
        raise BadInput(f"{archive.name}, entry {str(both[0])!r}: is both a file and a folder.")
    return list(files.items())


def _name(info: zipfile.ZipInfo, entry: str) -> PurePosixPath:
    """The name of an entry below the folder, NFC. Raises: BadInput."""
    # `orig_filename` still has what comes after a NUL; `filename` was cut there.
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        # macOS writes UTF-8 without saying so, and zipfile took it for code page 437.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.orig_filename
    name = unicodedata.normalize("NFC", name)
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or name[1:2] == ":":
        raise BadInput(f"{entry}: is an absolute path; only names below the archive are taken.")
    if "\\" in name or any(unicodedata.category(character)[0] == "C" for character in name):
        raise BadInput(f"{entry}: has a backslash or an invisible character; rename it.")
    if any(part in ("", ".", "..") for part in parts):
        raise BadInput(f"{entry}: has an empty, '.' or '..' part, which could lead elsewhere.")
    if len(parts) > MAX_DEPTH:
        raise BadInput(f"{entry}: lies {len(parts)} levels deep, {MAX_DEPTH} are allowed.")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise BadInput(f"{entry}: has a name of more than {MAX_NAME_BYTES} bytes; shorten it.")
    return PurePosixPath(*parts)


def check_contents(file: IO[bytes], entries: int, archive: str) -> None:
    """Refuse a table of contents that is too long for so many entries; `archive` is what the
    message calls it.

    `zipfile` reads the whole table before anybody can count: each entry takes far more memory than
    bytes of the file, and the number that the file names need not be true.

    Raises:
        BadInput: the table is too long.
        zipfile.BadZipFile: the file is no zip.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    most = entries * ENTRY_BYTES
    if end and (size := end[zipfile._ECD_SIZE]) > most:  # type: ignore[attr-defined]
        raise BadInput(
            f"{archive} has a table of contents of {size:,} bytes, {most:,} are allowed for at "
            f"most {entries:,} entries; split it."
        )


def check_entry(info: zipfile.ZipInfo, entry: str) -> None:
    """Refuse what is no plain file, or grows too much; `entry` is what the message calls it.

    Raises: BadInput.
    """
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise BadInput(f"{entry}: is a link or a device; only plain files are taken.")
    if info.flag_bits & 0x1:
        raise BadInput(f"{entry}: is encrypted; save the archive without a password.")
    if info.compress_type not in _METHODS:
        raise BadInput(f"{entry}: is packed by method {info.compress_type}; save a plain zip.")
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > SMALL and ratio > MAX_RATIO:
        raise BadInput(
            f"{entry}: unpacks to {ratio:,.0f} times its size, {MAX_RATIO} times are allowed."
        )


def _top(folder: Path) -> Path:
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and entries[0].name not in ("data", "images"):
        return entries[0]
    return folder
