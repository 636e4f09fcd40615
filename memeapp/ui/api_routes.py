"""The routes for programs, which show a token; a cookie lets nobody in here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from memeapp.errors import BadInput, NotAllowed
from memeapp.store.tokens import Token
from memeapp.tokens import RETRAIN, BadToken
from memeapp.types import Job, JobState
from memeapp.ui.audited import noted
from memeapp.ui.label_routes import told

if TYPE_CHECKING:
    from memeapp.wiring import App


class Retrain(BaseModel):
    """A training as a program asks for it; what is left out is as on the Admin page."""

    encoder: Annotated[str, Field(max_length=1000)] = ""
    """One that is known here: a program neither looks at the disk nor lets weights be fetched."""
    aggregation: Annotated[str, Field(max_length=100)] = "majority"
    votes: Annotated[str, Field(max_length=100)] = "blind"
    dry_run: bool = False


def api_routes(app: App) -> APIRouter:
    """The routes; whoever shows no token that is good for them gets a 401 or 403."""

    def may_retrain(request: Request) -> None:
        """Before anything is looked at that was sent."""
        request.state.token = token_of(app, request, RETRAIN)

    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(may_retrain)])

    def check_encoder(encoder: str) -> None:
        known = app.training.known_encoders()
        if encoder and encoder not in known:
            raise BadInput(
                f"The encoder {encoder[:80]!r} is not known here; choose one of "
                f"{', '.join(known)}, or let an admin train with it first."
            )

    @routes.post("/retrain", response_model=None)
    def retrain(body: Retrain, request: Request) -> Response | dict[str, Any]:
        """202 with the job, 400 if it cannot start like this, 409 while another is at work; for a
        dry run 200 with what it would learn from."""
        told(lambda: check_encoder(body.encoder))
        if body.dry_run:
            found = told(
                lambda: app.dry_runs.look(
                    body.encoder, aggregation=body.aggregation, votes=body.votes
                )
            )
            return asdict(found)
        who = f"token {request.state.token.name}"

        def start() -> Job:
            job = app.jobs.start(
                body.encoder, aggregation=body.aggregation, votes=body.votes, by=who
            )
            if job.state is JobState.FAILED:
                raise BadInput(job.message)
            return job

        job = told(lambda: noted(app.store, who, "train.start", body.encoder, start))
        return JSONResponse(job_of(job), 202)

    @routes.get("/jobs/{job_id}")
    def job(job_id: Annotated[int, Path(ge=0, lt=2**63)]) -> dict[str, Any]:
        """A training; 404 if there is none of that number."""
        return job_of(told(lambda: app.jobs.find(job_id)))

    return routes


def token_of(app: App, request: Request, scope: str) -> Token:
    """The token that a program shows; HTTPException if it shows none that is good for `scope`."""
    try:
        return app.tokens.check(request.headers.get("authorization"), scope)
    except BadToken as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error
    except NotAllowed as error:
        raise HTTPException(403, str(error)) from error


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
