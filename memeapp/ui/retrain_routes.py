"""The admin's routes around trainings: when they start by themselves, dry runs, tokens."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from memeapp.service.recent import Recent
from memeapp.service.said import VOTES
from memeapp.service.triggers import new_labels
from memeapp.store.tokens import Token
from memeapp.tokens import RETRAIN
from memeapp.ui.audited import Audited
from memeapp.ui.label_routes import admin_only, told

if TYPE_CHECKING:
    from memeapp.wiring import App


class How(BaseModel):
    """Which encoder and votes; empty: as usual."""

    encoder: Annotated[str, Field(max_length=1000)] = ""
    aggregation: Annotated[str, Field(max_length=100)] = "majority"
    votes: Annotated[str, Field(max_length=100)] = "blind"


class When(How):
    after_labels: Annotated[int, Field(lt=2**53, gt=-(2**53))] | None = None
    daily_at: Annotated[str, Field(max_length=20)] | None = None


class Wanted(BaseModel):
    """A token that is to be made."""

    name: Annotated[str, Field(max_length=1000)]
    days: Annotated[int, Field(lt=2**53, gt=-(2**53))] | None = None
    scope: Annotated[str, Field(max_length=100)] = RETRAIN
    """What it is to be good for."""


def retrain_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    only_admin = admin_only(app)
    noted = Audited(app)
    new = Recent(lambda which: new_labels(app.store, VOTES[which]))
    routes = APIRouter(prefix="/retraining")

    @routes.get("")
    def look(request: Request) -> dict[str, Any]:
        """When a training starts by itself, how much is new by then, and the tokens."""
        only_admin(request)
        wanted = app.store.retraining()
        return {
            "when": asdict(wanted),
            "new_labels": told(lambda: new(VOTES.index(wanted.votes), app.store.newest_version())),
            "zone": datetime.now().astimezone().strftime("UTC%z"),
            "tokens": [_token(app, token) for token in app.tokens.all()],
        }

    @routes.post("")
    def change(body: When, request: Request) -> dict[str, bool]:
        only_admin(request)
        noted(
            "triggers.change",
            "",
            lambda: app.scheduler.change(**body.model_dump()),
            **body.model_dump(),
        )
        return {"ok": True}

    @routes.post("/dry-run")
    def dry_run(body: How, request: Request) -> dict[str, Any]:
        """What a training would learn from."""
        only_admin(request)
        found = told(lambda: app.dry_runs.look(**body.model_dump()))
        titles = {label.name: label.title for label in app.schema.labels}
        return {**asdict(found), "titles": titles}

    @routes.post("/tokens")
    def make(body: Wanted, request: Request) -> dict[str, Any]:
        """The token with its secret, which no later answer holds."""
        only_admin(request)
        token, secret = noted(
            "token.make",
            body.name,
            lambda: app.tokens.make(body.name, body.days, [body.scope]),
            days=body.days,
            scope=body.scope,
        )
        return {**_token(app, token), "key": secret}

    @routes.post("/tokens/{token_id}/revoke")
    def revoke(token_id: Annotated[int, Path(ge=0, lt=2**63)], request: Request) -> dict[str, Any]:
        only_admin(request)
        return _token(
            app, noted("token.revoke", f"token {token_id}", lambda: app.tokens.revoke(token_id))
        )

    return routes


def _token(app: App, token: Token) -> dict[str, Any]:
    shown = asdict(token)
    del shown["digest"]
    return {**shown, "expired": app.tokens.expired(token)}
