"""Model versions on disk: a folder each, and a pointer to the one that answers."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from memeapp.disk import sync
from memeapp.errors import Mismatch, NotAllowed, NotFound
from memeapp.learn.checkpoint import Checkpoint
from memeapp.learn.data import BadCheckpoint
from memeapp.types import ModelVersion

log = logging.getLogger(__name__)

MANIFEST = "version.json"
POINTER = "current"
DELETED = ".deleted"
"""Ending of the empty file that keeps the number of a deleted version."""
DRAFT_SECONDS = 3600
"""A draft that nobody has touched for so long was left by a process that was killed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = re.compile(r"v(\d+)")


class Registry:
    """The shipped versions, which are only read, and those trained here.

    A version is a folder with the files of its checkpoint and `version.json`. It appears whole,
    by a rename, and no file of it is ever changed. Other processes may add and promote at the same
    time.
    """

    def __init__(self, shipped: Path, folder: Path) -> None:
        self._shipped = shipped
        self._folder = folder

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        found = {
            version.name: version
            for folder in (self._shipped, self._folder)
            for version in _read_versions(folder)
        }
        return sorted(found.values(), key=lambda one: (one.created_at, one.name), reverse=True)

    def find(self, name: str) -> ModelVersion:
        """The version of this name.

        Raises:
            NotFound: if there is none.
        """
        if _NAME.fullmatch(name):
            for folder in (self._folder, self._shipped):
                if (version := _read_version(folder / name)) is not None:
                    return version
        known = ", ".join(version.name for version in self.versions()) or "none"
        raise NotFound(f"There is no model version {name[:80]!r}; there are: {known}.")

    def shipped(self) -> ModelVersion:
        """The newest version that came with the program.

        Raises:
            NotFound: if it came without one.
        """
        found = _read_versions(self._shipped)
        if not found:
            raise NotFound(
                "No model version came with the program; set MEMEAPP_MODELS to the folder `models` "
                "of the program, or promote a version that was trained here."
            )
        return max(found, key=lambda version: (version.created_at, version.name))

    def current(self) -> ModelVersion:
        """The version that answers: the promoted one, or the shipped one.

        Raises:
            NotFound: if there is neither.
        """
        try:
            name = (self._folder / POINTER).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return self.shipped()
        try:
            return self.find(name)
        except NotFound as error:
            log.warning("The promoted version is gone, the shipped one answers: %s", error)
            return self.shipped()

    def stamp(self) -> tuple[int, int]:
        """A token that is cheap to get and differs once another version was promoted."""
        try:
            status = (self._folder / POINTER).stat()
        except FileNotFoundError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    def load(self, name: str) -> Checkpoint:
        """The checkpoint of a version.

        Raises:
            NotFound: if there is no such version.
            Mismatch: if its files are damaged, or the checkpoint is not the one it was added with.
        """
        version = self.find(name)
        assert version.path is not None
        try:
            checkpoint = Checkpoint.load(version.path)
        except BadCheckpoint as error:
            raise Mismatch(f"Version {name} cannot be loaded: {error}") from error
        if (checkpoint.encoder, checkpoint.labels) != (version.encoder, version.labels):
            raise Mismatch(
                f"Its {MANIFEST} tells of encoder {version.encoder} and the labels "
                f"{', '.join(version.labels)}, its checkpoint of {checkpoint.encoder} and "
                f"{', '.join(checkpoint.labels)}; copy the whole folder again."
            )
        return checkpoint

    def add(
        self,
        checkpoint: Checkpoint,
        *,
        parent: str | None,
        recipe: str,
        data: Mapping[str, float | str],
        metrics: Mapping[str, object],
        files: Mapping[str, bytes] | None = None,
    ) -> ModelVersion:
        """Write a checkpoint as a new version, listed from then on; `promote` makes it answer.

        If anything fails nothing is left behind.

        Args:
            files: what else the version's folder holds, by file name.
        """
        with self.draft() as draft:
            checkpoint.save(draft)
            for name, content in (files or {}).items():
                (draft / name).write_bytes(content)
            return self.publish(
                draft,
                ModelVersion(
                    name="",
                    created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    encoder=checkpoint.encoder,
                    labels=tuple(checkpoint.labels),
                    parent=parent,
                    recipe=recipe,
                    data=data,
                    metrics=metrics,
                ),
            )

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty folder for the files of a version; what is not published is removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear_drafts()
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix=".draft-"))
        try:
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, draft: Path, version: ModelVersion) -> ModelVersion:
        """List a draft as this version, whole or not at all, under the next free name.

        Args:
            draft: with all files but `version.json`, which tells what `version` does.
        """
        today = datetime.now(UTC)
        while True:
            named = replace(version, name=f"v{self._next_number():04d}-{today:%Y%m%d}")
            _write_manifest(draft / MANIFEST, named)
            for file in draft.iterdir():
                sync(file)
            sync(draft)
            try:
                draft.rename(self._folder / named.name)
            except OSError:
                if (self._folder / named.name).exists():
                    continue  # Another process took the number.
                raise
            sync(self._folder)
            return self.find(named.name)

    def enclose(self, name: str, file: str, content: bytes) -> None:
        """Add a file to a version that was trained here, whole or not at all. Raises: NotFound."""
        with self._alone(), self.draft() as draft:
            path = self.find(name).path
            assert path is not None
            (draft / file).write_bytes(content)
            sync(draft / file)
            (draft / file).rename(path / file)
            sync(path)

    def promote(self, name: str) -> None:
        """Let this version answer, here and in every process that asks for the current one.

        Raises:
            NotFound: if there is no such version.
        """
        with self._alone():
            self.find(name)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._folder, prefix=f".{POINTER}-", delete=False, encoding="utf-8"
            ) as file:
                file.write(f"{name}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(self._folder / POINTER)
            sync(self._folder)

    def delete(self, name: str) -> None:
        """Remove a version that did not come with the program, for good; its number stays used.

        Raises:
            NotFound: if there is no such version.
            NotAllowed: if it came with the program or answers now.
        """
        with self._alone(), self.draft() as draft:
            version = self.find(name)
            assert version.path is not None
            if self.came_with_program(version):
                raise NotAllowed(f"{name} came with the program; it stays as the way back.")
            if self.current().name == name:
                raise NotAllowed(f"{name} answers now; let another version answer, then delete it.")
            (self._folder / f"{name}{DELETED}").touch()
            # Gone at once for everybody; a reader that has its files open reads on.
            version.path.rename(draft / name)
            sync(self._folder)

    def came_with_program(self, version: ModelVersion) -> bool:
        """Whether it is a shipped one, which stays."""
        return version.path is not None and version.path.parent != self._folder

    @contextmanager
    def held(self) -> Iterator[list[Path]]:
        """The files that make up the versions trained here, which one answers, and which numbers
        are used; nobody promotes or deletes a version while the context lasts."""
        with self._alone():
            folders = [version.path for version in _read_versions(self._folder) if version.path]
            beside = [self._folder / POINTER, *self._folder.glob(f"*{DELETED}")]
            found = [*(file for folder in folders for file in folder.iterdir()), *beside]
            yield sorted(file for file in found if file.is_file())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process promotes or deletes meanwhile."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def disk_bytes(self, name: str) -> int:
        """What the files of a version take. Raises: NotFound."""
        path = self.find(name).path
        assert path is not None
        return sum(file.stat().st_size for file in path.iterdir())

    def _clear_drafts(self) -> None:
        for draft in self._folder.glob(".draft-*"):
            with suppress(FileNotFoundError):  # it has just become a version
                if draft.stat().st_mtime < time.time() - DRAFT_SECONDS:
                    shutil.rmtree(draft, ignore_errors=True)

    def _next_number(self) -> int:
        names = [
            path.name
            for folder in (self._shipped, self._folder)
            if folder.is_dir()
            for path in folder.iterdir()
        ]
        return max((int(match[1]) for match in map(_NUMBER.match, names) if match), default=0) + 1


def _read_versions(folder: Path) -> list[ModelVersion]:
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)]
    return [version for path in paths if (version := _read_version(path)) is not None]


def _read_version(path: Path) -> ModelVersion | None:
    """None where there is no version, or only the remains of one."""
    try:
        raw = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return ModelVersion(
            **{**raw, "name": path.name, "labels": tuple(raw["labels"]), "path": path}
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("Left out the model version %s: its %s is unusable: %s", path, MANIFEST, error)
        return None


def _write_manifest(path: Path, version: ModelVersion) -> None:
    fields = {name: value for name, value in asdict(version).items() if name != "path"}
    path.write_text(json.dumps(fields, indent=2, allow_nan=False) + "\n", encoding="utf-8")
