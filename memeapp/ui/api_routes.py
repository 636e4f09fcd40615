"""The routes for programs, which show a token; a cookie lets nobody in here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from memeapp.errors import NotAllowed
from memeapp.tokens import RETRAIN, BadToken
from memeapp.types import Job, JobState
from memeapp.ui.label_routes import told

if TYPE_CHECKING:
    from memeapp.wiring import App


class Retrain(BaseModel):
    """A training as a program asks for it; what is left out is as on the Admin page."""

    encoder: Annotated[str, Field(max_length=1000)] = ""
    aggregation: Annotated[str, Field(max_length=100)] = "majority"
    votes: Annotated[str, Field(max_length=100)] = "blind"
    dry_run: bool = False


def api_routes(app: App) -> APIRouter:
    """The routes; whoever shows no token that is good for them gets a 401 or 403."""

    def may_retrain(request: Request) -> None:
        """Before anything is looked at that was sent."""
        try:
            request.state.token = app.tokens.check(request.headers.get("authorization"), RETRAIN)
        except BadToken as error:
            raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error
        except NotAllowed as error:
            raise HTTPException(403, str(error)) from error

    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(may_retrain)])

    @routes.post("/retrain", response_model=None)
    def retrain(body: Retrain, request: Request) -> Response | dict[str, Any]:
        """202 with the job, 400 if it cannot start like this, 409 while another is at work; for a
        dry run 200 with what it would learn from."""
        if body.dry_run:
            found = told(
                lambda: app.dry_runs.look(
                    body.encoder, aggregation=body.aggregation, votes=body.votes
                )
            )
            return asdict(found)
        who = f"token {request.state.token.name}"
        job = told(
            lambda: app.jobs.start(
                body.encoder, aggregation=body.aggregation, votes=body.votes, by=who
            )
        )
        if job.state is JobState.FAILED:
            raise HTTPException(400, job.message)
        app.store.note(who, "train.start", f"job {job.id}")
        return JSONResponse(job_of(job), 202)

    @routes.get("/jobs/{job_id}")
    def job(job_id: Annotated[int, Path(ge=0, lt=2**63)]) -> dict[str, Any]:
        """A training; 404 if there is none of that number."""
        return job_of(told(lambda: app.jobs.find(job_id)))

    return routes


def job_of(job: Job) -> dict[str, Any]:
    """A job as programs see it."""
    shown = asdict(job)
    for private in ("pid", "kind"):
        del shown[private]
    return {**shown, "state": job.state.value, "seconds_left": seconds_left(job)}


def seconds_left(job: Job) -> float | None:
    """Until the job's end as it was estimated last; None where nothing is known of it."""
    if not job.state.active or job.ends_at is None:
        return None
    left = datetime.fromisoformat(job.ends_at) - datetime.now(UTC)
    return max(0.0, round(left.total_seconds(), 1))
