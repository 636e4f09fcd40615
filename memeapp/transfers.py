"""The processes that import an upload and write an export; what they did is in the database."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memeapp.archives import UNPACKED, pack
from memeapp.errors import BadInput, Busy, NotFound
from memeapp.processes import Processes
from memeapp.service.exports import FORMATS
from memeapp.service.features import Report, between
from memeapp.service.imports import ImportReport
from memeapp.service.incoming import Incoming
from memeapp.service.transfer import Transfer
from memeapp.settings import Settings
from memeapp.store import Store
from memeapp.types import Job, JobKind, JobState

LISTED = 200
"""Sentences of a report that are kept; the others are counted."""
LONGEST_SENTENCE = 400
KEPT = 3
"""Exports that stay on the disk."""
SECONDS_BETWEEN_REPORTS = 0.3


class ImportJobs(Processes):
    """Imports of uploads."""

    kind = JobKind.IMPORT
    cancelled = (
        "Cancelled by an admin. What came in is kept; import it again to go on, nothing is doubled."
    )
    died = (
        "The import ended before it was done. Start it again: what came in is kept, nothing is "
        "doubled."
    )

    def __init__(
        self, store: Store, transfer: Transfer, incoming: Incoming, settings: Settings
    ) -> None:
        super().__init__(store, settings)
        self._transfer = transfer
        self._incoming = incoming

    def start(self, upload_id: str) -> Job:
        """Import an upload in a new process.

        Raises:
            WrongOffset: it is not complete.
            NotFound: there is no such upload.
            Busy: an import is at work.
        """
        upload = self._incoming.finished(upload_id)
        job = self._add(options={"upload": upload.id, "name": upload.name})
        return self._spawn(job, str(upload.path))

    def remove(self, upload_id: str) -> None:
        """Forget an upload. Raises: NotFound; Busy, if it is being imported."""
        job = self.latest()
        if job and job.state.active and job.options.get("upload") == upload_id:
            raise Busy("It is being imported; cancel that first.")
        self._incoming.remove(upload_id)

    def run(self, job_id: int, *, also: Report | None = None) -> Job:
        """Do the work of a job in this process; the way it ends is in the job returned."""

        def work(job: Job, report: Report) -> None:
            upload = self._incoming.find(job.options["upload"])
            try:
                done = self._transfer.import_path(
                    upload.path,
                    _counted(between(report, 0.1, 1.0), "Importing"),
                    name=upload.data_set,
                    on_file=_counted(between(report, 0.0, 0.1), "Unpacking"),
                )
            except BadInput as error:
                # In the words of whoever sent the file, who knows nothing of our folders.
                told = str(error).replace(upload.path.name, upload.name)
                unpacked = str(self._store.folder / UNPACKED)
                told = told.replace(f"{unpacked}/", "").replace(unpacked, "The file")
                raise BadInput(told) from error
            self._store.update_job(
                job.id,
                result={"name": upload.name, **_result(done)},
                message=f"{done.added:,} memes added, {done.known:,} were there, "
                f"{done.labelled:,} with labels, {len(done.refused):,} not taken as they are.",
            )
            self._incoming.remove(upload.id)

        return self._work(job_id, work, also)


class ExportJobs(Processes):
    """Exports, each a zip in the data folder's `outgoing/`."""

    kind = JobKind.EXPORT
    cancelled = "Cancelled by an admin; nothing was written."
    died = "The export ended before it was done; start it again."

    def __init__(self, store: Store, transfer: Transfer, settings: Settings) -> None:
        super().__init__(store, settings)
        self._transfer = transfer
        self._folder = settings.data / "outgoing"

    def start(
        self, format: str = "mami", *, session_id: int | None = None, names: bool = False
    ) -> Job:
        """Write an export in a new process.

        Args:
            format, session_id, names: as `Transfer.export` takes them.

        Raises:
            BadInput: there is no such format.
            NotFound: there is no such session.
            Busy: an export is at work.
        """
        if format not in FORMATS:
            raise BadInput(f"{format[:80]!r} is no format; choose one of {', '.join(FORMATS)}.")
        if session_id is not None:
            self._store.session(session_id)
        job = self._add(options={"format": format, "session": session_id, "names": names})
        return self._spawn(job, str(self._writing_to(job)))

    def run(self, job_id: int, *, also: Report | None = None) -> Job:
        """Do the work of a job in this process; the way it ends is in the job returned."""

        def work(job: Job, report: Report) -> None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tidy()
            folder = self._writing_to(job)
            folder.parent.mkdir()
            try:
                report("Gathering memes and votes", 0.0)
                memes = self._transfer.export(
                    folder,
                    job.options["format"],
                    session_id=job.options["session"],
                    names=job.options["names"],
                    on_meme=_counted(between(report, 0.1, 0.6), "Writing"),
                )
                archive = folder.parent / "packed.zip"
                pack(folder, archive, _counted(between(report, 0.6, 1.0), "Packing"))
                size = archive.stat().st_size
                archive.replace(self._file(job))
            finally:
                shutil.rmtree(folder.parent, ignore_errors=True)
            self._store.update_job(
                job.id,
                result={"memes": memes, "bytes": size, "file": f"{folder.name}.zip"},
                message=f"{memes:,} memes and their votes are written.",
            )

        done = self._work(job_id, work, also)
        self._tidy()
        return done

    def ready(self) -> list[Job]:
        """The exports that can be had, newest first."""
        jobs = self._store.jobs(self.kind, limit=50)
        return [job for job in jobs if job.state is JobState.FINISHED and self._file(job).is_file()]

    def file(self, job_id: int) -> tuple[Path, str]:
        """A finished export and the name to save it under. Raises: NotFound."""
        job = self._store.job(job_id)
        if job.kind is not self.kind or job.state is not JobState.FINISHED:
            raise NotFound(f"There is no export {job_id}.")
        if not self._file(job).is_file():
            raise NotFound(
                f"Export {job_id} is gone, only the last {KEPT} are kept; make it again."
            )
        return self._file(job), job.result["file"]

    def _file(self, job: Job) -> Path:
        return self._folder / f"export-{job.id}.zip"

    def _writing_to(self, job: Job) -> Path:
        day = datetime.now(UTC).date().isoformat()
        name = f"memeapp-{job.options['format']}-{day}-{job.id}"
        return self._folder / f"writing-{job.id}" / name

    def _tidy(self) -> None:
        """Remove all but the last exports, and what a killed one left."""
        kept = {self._file(job) for job in self.ready()[:KEPT]}
        for left in self._folder.glob("export-*.zip"):
            if left not in kept:
                left.unlink(missing_ok=True)
        for left in self._folder.glob("writing-*"):
            shutil.rmtree(left, ignore_errors=True)


def _counted(report: Report, word: str) -> Callable[[int, int], None]:
    """A report of steps that come quickly: a few a second are written down, and may cancel."""
    last = 0.0

    def step(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            report(f"{word} · {done:,} of {total:,}", done / max(total, 1))

    return step


def _result(done: ImportReport) -> dict[str, Any]:
    return {
        "added": done.added,
        "known": done.known,
        "labelled": done.labelled,
        "votes": done.votes,
        **_listed("refused", done.refused),
        **_listed("near", done.near),
    }


def _listed(name: str, sentences: Sequence[str]) -> dict[str, Any]:
    listed = [sentence[:LONGEST_SENTENCE] for sentence in sentences[:LISTED]]
    return {name: listed, f"{name}_left_out": len(sentences) - len(listed)}
