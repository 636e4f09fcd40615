"""Training jobs, one active at a time, and the record of the versions they made."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memeapp.errors import BadInput, Busy, NotFound
from memeapp.store.connections import Connections, now
from memeapp.types import JobState, ModelVersion, TrainingJob


class Jobs(Connections):
    """Training jobs and model versions."""

    def add_job(self, encoder: str = "") -> TrainingJob:
        """Queue a training job on this encoder.

        Raises:
            Busy: if one is queued or running.
        """
        time = now()
        try:
            with self._writing() as db:
                cursor = db.execute(
                    "INSERT INTO jobs (state, encoder, created_at, updated_at) VALUES (?, ?, ?, ?)",
                    [JobState.QUEUED, encoder, time, time],
                )
        except sqlite3.IntegrityError as error:
            raise Busy("A training job is at work; wait until it has ended.") from error
        return self.job(int(cursor.lastrowid or 0))

    def update_job(
        self,
        id: int,
        *,
        state: JobState | None = None,
        stage: str | None = None,
        progress: float | None = None,
        message: str | None = None,
        version: str | None = None,
        pid: int | None = None,
    ) -> TrainingJob:
        """Write down what is new. A job that has ended stays as it is: whoever comes late loses.

        Raises:
            NotFound: if there is no such job.
        """
        news: dict[str, Any] = {
            "state": state,
            "stage": stage,
            "progress": progress,
            "message": message,
            "version": version,
            "pid": pid,
        }
        changes = {name: value for name, value in news.items() if value is not None}
        changes["updated_at"] = now()
        with self._writing() as db:
            db.execute(
                f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in changes)}"
                " WHERE id = :id AND state IN ('queued', 'running')",
                {**changes, "id": id},
            )
        return self.job(id)

    def job(self, id: int) -> TrainingJob:
        """The job of this number.

        Raises:
            NotFound: if there is none.
        """
        row = next(self._db.query("SELECT * FROM jobs WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no training job {id}.")
        return _job(row)

    def latest_job(self) -> TrainingJob | None:
        rows = self._db.query("SELECT * FROM jobs ORDER BY id DESC LIMIT 1")
        return next((_job(row) for row in rows), None)

    def active_jobs(self) -> list[TrainingJob]:
        """The job that is queued or running, if there is one."""
        rows = self._db.query("SELECT * FROM jobs WHERE state IN ('queued', 'running')")
        return [_job(row) for row in rows]

    def request_cancel(self, id: int) -> None:
        """Ask a job to stop; it sees that at its next step."""
        with self._writing() as db:
            db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", [id])

    def cancel_requested(self, id: int) -> bool:
        row = self._db.execute("SELECT cancel_requested FROM jobs WHERE id = ?", [id]).fetchone()
        return bool(row and row[0])

    def add_version(self, version: ModelVersion, job_id: int | None) -> None:
        """Record a version and the job that made it.

        Raises:
            BadInput: if a version of that name is recorded.
        """
        try:
            self._db.table("versions").insert(
                {
                    "name": version.name,
                    "created_at": version.created_at,
                    "encoder": version.encoder,
                    "labels": json.dumps(version.labels),
                    "parent": version.parent,
                    "recipe": version.recipe,
                    "data": json.dumps(dict(version.data)),
                    "metrics": json.dumps(dict(version.metrics)),
                    "path": None if version.path is None else str(version.path),
                    "job_id": job_id,
                }
            )
        except sqlite3.IntegrityError as error:
            raise BadInput(f"Cannot record the version {version.name!r}: {error}.") from error

    def versions(self) -> list[ModelVersion]:
        """The recorded versions, newest first."""
        rows = self._db.query("SELECT * FROM versions ORDER BY number DESC")
        return [_version(row) for row in rows]


def _job(row: Mapping[str, Any]) -> TrainingJob:
    return TrainingJob(
        id=row["id"],
        state=JobState(row["state"]),
        stage=row["stage"],
        progress=row["progress"],
        message=row["message"],
        version=row["version"],
        pid=row["pid"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        encoder=row["encoder"],
    )


def _version(row: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(
        name=row["name"],
        created_at=row["created_at"],
        encoder=row["encoder"],
        labels=tuple(json.loads(row["labels"])),
        parent=row["parent"],
        recipe=row["recipe"],
        data=json.loads(row["data"]),
        metrics=json.loads(row["metrics"]),
        path=None if row["path"] is None else Path(row["path"]),
    )
