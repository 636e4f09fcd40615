"""Jobs, one active at a time of each kind, and the record of the versions that trainings made."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memeapp.errors import BadInput, Busy, NotFound
from memeapp.store.connections import Connections, now
from memeapp.types import Job, JobKind, JobState, LossCurve, ModelVersion

_AT_WORK = {
    JobKind.TRAIN: "A training job is at work",
    JobKind.IMPORT: "An import is at work",
    JobKind.EXPORT: "An export is at work",
}


class Jobs(Connections):
    """Jobs and model versions."""

    def add_job(
        self,
        encoder: str = "",
        *,
        kind: JobKind = JobKind.TRAIN,
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """Queue a job.

        Args:
            encoder: that a training is to use.
            options: what else it is asked for; goes into the database as JSON.

        Raises:
            Busy: if one of this kind is queued or running.
        """
        time = now()
        try:
            with self._writing() as db:
                cursor = db.execute(
                    "INSERT INTO jobs (state, kind, encoder, options, created_at, updated_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    [JobState.QUEUED, kind, encoder, json.dumps(dict(options or {})), time, time],
                )
        except sqlite3.IntegrityError as error:
            raise Busy(f"{_AT_WORK[kind]}; wait until it has ended.") from error
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
        result: Mapping[str, Any] | None = None,
        losses: Sequence[LossCurve] | None = None,
        started_at: str | None = None,
        ends_at: str | None = None,
    ) -> Job:
        """Write down what is new. A job that has ended stays as it is: whoever comes late loses.

        Args:
            ends_at: an empty one says that it cannot be told any more.

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
            "result": None if result is None else json.dumps(dict(result), ensure_ascii=False),
            "losses": None if losses is None else json.dumps([asdict(one) for one in losses]),
            "started_at": started_at,
            "ends_at": ends_at,
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

    def job(self, id: int) -> Job:
        """The job of this number.

        Raises:
            NotFound: if there is none.
        """
        row = next(self._db.query("SELECT * FROM jobs WHERE id = ?", [id]), None)
        if row is None:
            raise NotFound(f"There is no job {id}.")
        return _job(row)

    def latest_job(self, kind: JobKind = JobKind.TRAIN) -> Job | None:
        return next(iter(self.jobs(kind, limit=1)), None)

    def jobs(self, kind: JobKind, *, limit: int) -> list[Job]:
        """The last jobs of a kind, newest first."""
        rows = self._db.query(
            "SELECT * FROM jobs WHERE kind = ? ORDER BY id DESC LIMIT ?", [kind, limit]
        )
        return [_job(row) for row in rows]

    def active_jobs(self, kind: JobKind = JobKind.TRAIN) -> list[Job]:
        """The job of a kind that is queued or running, if there is one."""
        rows = self._db.query(
            "SELECT * FROM jobs WHERE kind = ? AND state IN ('queued', 'running')", [kind]
        )
        return [_job(row) for row in rows]

    def count_jobs(self) -> dict[tuple[JobKind, JobState], int]:
        """How many jobs there ever were, by kind and state; what has none is left out."""
        rows = self._db.execute("SELECT kind, state, count(*) FROM jobs GROUP BY kind, state")
        return {(JobKind(kind), JobState(state)): count for kind, state, count in rows}

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

    def trained_here(self) -> list[ModelVersion]:
        """The versions that jobs of this data folder made, newest first."""
        rows = self._db.query(
            "SELECT * FROM versions WHERE job_id IS NOT NULL ORDER BY number DESC"
        )
        return [_version(row) for row in rows]

    def versions(self) -> list[ModelVersion]:
        """The recorded versions, newest first."""
        rows = self._db.query("SELECT * FROM versions ORDER BY number DESC")
        return [_version(row) for row in rows]


def _job(row: Mapping[str, Any]) -> Job:
    return Job(
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
        kind=JobKind(row["kind"]),
        options=json.loads(row["options"]),
        result=json.loads(row["result"]),
        losses=tuple(
            LossCurve(one["stage"], one["epochs"], tuple((at, loss) for at, loss in one["points"]))
            for one in json.loads(row["losses"])
        ),
        started_at=row["started_at"],
        ends_at=row["ends_at"] or None,
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
