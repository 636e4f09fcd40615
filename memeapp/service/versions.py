"""What can be done with model versions besides training them; every change of them is noted."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from memeapp.encoders import check_encoder
from memeapp.errors import DiskFull, MemeAppError, NotFound, NotSaved
from memeapp.labels import LabelSchema
from memeapp.registry import Registry
from memeapp.service import bundle
from memeapp.service.snapshot import learned_by
from memeapp.store import Store
from memeapp.types import ModelVersion

log = logging.getLogger(__name__)

SPARE = 64 * 2**20
"""Bytes that stay free on the disk for what is written meanwhile."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in the list of all."""

    version: ModelVersion
    lane: int
    """0 on the line that leads to the version in use, and one more with each fork away from it."""
    after: ModelVersion | None
    """The one it was trained after, if that is here."""
    current: bool
    shipped: bool
    older: bool
    """Than the one in use: to use it is a roll-back."""
    disk_bytes: int


class Versions:
    """The versions of one app; the caller has checked who asks, and says who it is."""

    def __init__(self, store: Store, registry: Registry, schema: LabelSchema) -> None:
        self._store = store
        self._registry = registry
        self._schema = schema
        self._folder = store.folder

    def all(self) -> list[Listed]:
        """Every version above the one it was trained after: the newest of a line first, and what
        forks off at a version right above it."""
        versions = self._registry.versions()
        named = {version.name: version for version in versions}
        current = self._current()
        listed = []
        for version, lane in _drawn(named, current.name if current else ""):
            try:
                taken = self._registry.disk_bytes(version.name)
            except (NotFound, FileNotFoundError):
                continue  # Somebody has just deleted it.
            listed.append(
                Listed(
                    version,
                    lane,
                    after=parent_here(version, named),
                    current=current is not None and version.name == current.name,
                    shipped=self._registry.came_with_program(version),
                    older=current is not None and _age(version) < _age(current),
                    disk_bytes=taken,
                )
            )
        return listed

    def promote(self, name: str, who: str) -> None:
        """Let this version answer from the next request on.

        It is noted first, with the version that answered until then: what is not noted does not
        come to pass.

        Raises:
            NotFound: if there is no such version.
            Mismatch: if it knows other labels.
        """
        version, current = self._registry.find(name), self._current()
        self._schema.check_version(version)
        back = current is not None and _age(version) < _age(current)
        self._store.note(
            who,
            "version.rollback" if back else "version.promote",
            name,
            before=current.name if current else "",
        )
        self._registry.promote(name)

    def delete(self, name: str, who: str) -> None:
        """Remove a version for good; its name is never given again.

        Raises:
            NotFound: if there is no such version.
            NotAllowed: if it came with the program or answers now.
            NotSaved: it is deleted, as the message says, but there is no line of it.
        """
        taken = self._registry.disk_bytes(name)
        self._registry.delete(name)  # First: on a full disk it makes the room for the line.
        try:
            self._store.note(who, "version.delete", name, details={"bytes": taken})
        except NotSaved as error:
            log.warning("%s deleted %s, and it could not be noted: %s", who, name, error)
            raise NotSaved(
                f"{name} is deleted, but the audit has no line of it, for the database cannot be "
                "written; see to the disk."
            ) from error

    def pack(self, name: str, who: str) -> IO[bytes]:
        """The bundle of a version, to be read from its start; gone once it is closed.

        Raises:
            NotFound: if there is no such version.
            DiskFull: if there is no room to pack it.
        """
        version = self._registry.find(name)
        self._store.note(who, "version.download", name)
        file = self.room()
        try:
            with _told_if_full():
                bundle.pack(version, file)
                file.seek(0)
        except FileNotFoundError:
            file.close()
            self._registry.find(name)  # Somebody has deleted it meanwhile.
            raise
        except BaseException:
            file.close()
            raise
        return file

    def room(self, wanted: int = 0) -> IO[bytes]:
        """A file without a name, which nothing is left of once it is closed.

        Args:
            wanted: bytes that are going to be written and unpacked beside it.

        Raises:
            DiskFull: if the disk has no room for so many.
        """
        free = shutil.disk_usage(self._folder).free
        if 2 * wanted + SPARE > free:
            raise DiskFull(
                f"The disk of the data folder has {free / 2**20:,.0f} MB free, and "
                f"{(2 * wanted + SPARE) / 2**20:,.0f} MB are needed; delete versions, or make room."
            )
        return tempfile.TemporaryFile(dir=self._folder)

    def write(self, file: IO[bytes], piece: bytes) -> None:
        """Add to a file of `room`. Raises: DiskFull."""
        with _told_if_full():
            file.write(piece)

    def unpack(self, file: IO[bytes], who: str) -> tuple[ModelVersion, tuple[str, ...]]:
        """Take in a bundle as a new version, which does not answer until somebody promotes it.

        Returns:
            The version under its new name, and what is to be said of it.

        Raises:
            BadInput, Mismatch: as `bundle.unpack`; nothing is kept.
            DiskFull: there is no room for it; nothing is kept.
            NotSaved: it cannot be noted; nothing is kept.
        """
        with _told_if_full(), self._registry.draft() as draft:
            told = bundle.unpack(file, draft, self._schema)
            version = self._registry.publish(draft, told)
        try:
            self._store.note(
                who, "version.upload", version.name, details={bundle.UPLOADED_AS: told.name}
            )
        except NotSaved:
            self._registry.delete(version.name)
            raise
        notices = []
        held_out = {meme.id for meme in self._store.memes(held_out=True)}
        if seen := len(held_out & learned_by(version)):
            notices.append(
                f"It has learned from {seen:,} of the {len(held_out):,} memes that are held out "
                "here; it is compared on the others."
            )
        try:
            check_encoder(version.encoder)
        except MemeAppError as error:
            notices.append(f"It cannot answer here yet: its encoder cannot be had. {error}")
        return version, tuple(notices)

    def _current(self) -> ModelVersion | None:
        try:
            return self._registry.current()
        except NotFound:
            return None


def _age(version: ModelVersion) -> tuple[str, str]:
    return version.created_at, version.name


def _drawn(named: Mapping[str, ModelVersion], current: str) -> list[tuple[ModelVersion, int]]:
    """The versions as `Versions.all` gives them, with their lanes."""
    children: defaultdict[str | None, list[ModelVersion]] = defaultdict(list)
    parents: dict[str, str] = {}
    for version in sorted(named.values(), key=_age, reverse=True):
        parent = parent_here(version, named)
        if parent is not None:
            parents[version.name] = parent.name
        children[parent.name if parent else None].append(version)
    line = {current}
    while (current := parents.get(current, "")) != "":
        line.add(current)
    rows: list[tuple[ModelVersion, int]] = []
    for root in sorted(children[None], key=lambda one: one.name not in line):
        rows += _branch(root, children, line, 0)
    return rows


def _branch(
    root: ModelVersion,
    children: Mapping[str | None, Sequence[ModelVersion]],
    line: set[str],
    lane: int,
) -> list[tuple[ModelVersion, int]]:
    chain = [root]
    forks: list[Sequence[ModelVersion]] = [()]
    while below := sorted(children[chain[-1].name], key=lambda one: one.name not in line):
        forks[-1] = below[1:]
        chain.append(below[0])
        forks.append(())
    rows: list[tuple[ModelVersion, int]] = []
    for version, off in zip(reversed(chain), reversed(forks), strict=True):
        for fork in off:
            rows += _branch(fork, children, line, lane + 1)
        rows.append((version, lane))
    return rows


def parent_here(version: ModelVersion, named: Mapping[str, ModelVersion]) -> ModelVersion | None:
    """The version that this one was trained after, if it is among those here.

    The parent of a version that came from elsewhere has its name from there.
    """
    if version.parent is None or bundle.UPLOADED_AS in version.data:
        return None
    parent = named.get(version.parent)
    return parent if parent is not None and _age(parent) < _age(version) else None


@contextmanager
def _told_if_full() -> Iterator[None]:
    """Raises: DiskFull, where the disk takes no more."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            "The disk of the data folder is full; nothing was kept. Delete versions, or make room, "
            "and send it again."
        ) from error
