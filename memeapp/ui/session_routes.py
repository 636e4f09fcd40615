"""The admin's routes for labelling sessions, JSON in and out: open, watch, invite, close."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import segno
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from memeapp.errors import BadInput
from memeapp.judging import Plan, Selection, Session, Suggestions
from memeapp.store.connections import moment
from memeapp.ui.label_routes import Key, Name, admin_only, told
from memeapp.ui.session_views import (
    disputed_view,
    exposure_view,
    person_view,
    picture_view,
    plan_view,
    quality_view,
)

if TYPE_CHECKING:
    from memeapp.wiring import App

Id = Annotated[int, Path(ge=0, lt=2**63)]
Moment = Annotated[float, Query(ge=0, le=1e11)]
"""Seconds since 1970."""
Portion = Annotated[float, Field(ge=0, le=100)]


class Planned(BaseModel):
    """A plan as the form sends it; the queues' shares in any unit."""

    name: Annotated[str, Field(max_length=1000)]
    guidelines: Annotated[str, Field(max_length=100_000)] = ""
    votes_per_meme: Annotated[int, Field(ge=-1000, le=1000)] = 3
    policy: dict[Name, Portion] = {"random": 1.0}
    suggestions: Suggestions = Suggestions.AFTER
    lease_seconds: float = 300.0
    break_minutes: float = 25.0
    break_exposure: float = 600.0
    leaderboard: bool = False
    open_until: Annotated[str, Field(max_length=40)] = ""

    def plan(self) -> Plan:
        total = sum(self.policy.values())
        if not total:
            raise BadInput("Every queue has the share 0; give at least one of them some.")
        return Plan(
            name=self.name,
            guidelines=self.guidelines,
            votes_per_meme=self.votes_per_meme,
            policy={queue: share / total for queue, share in self.policy.items() if share},
            suggestions=self.suggestions,
            lease_seconds=self.lease_seconds,
            break_minutes=self.break_minutes,
            break_exposure=self.break_exposure,
            leaderboard=self.leaderboard,
            open_until=_in_utc(self.open_until) if self.open_until else None,
        )


class Selected(BaseModel):
    """Which memes, as the form says it."""

    unlabelled: bool = False
    data_set: Annotated[str, Field(max_length=1000)] = ""
    most: Annotated[int, Field(ge=1, le=10**9)] | None = None

    def selection(self) -> Selection:
        return Selection(self.unlabelled, self.data_set, self.most)


class Opened(Planned, Selected):
    """A new session."""


class Decided(BaseModel):
    """An adjudication as the page sends it."""

    meme: Annotated[str, Field(max_length=64)]
    labels: dict[Name, bool]
    note: Annotated[str, Field(max_length=2000)] = ""
    unclear: bool = False
    key: Key


class Known(BaseModel):
    memes: Annotated[int, Field(ge=0, le=1000)]


class Warned(BaseModel):
    text: Annotated[str, Field(max_length=2000)]


class Flag(BaseModel):
    on: bool


def session_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    labelling = app.labelling
    only_admin = admin_only(app)
    routes = APIRouter(prefix="/sessions")

    def shown(session: Session) -> dict[str, Any]:
        standing = labelling.standing(session.id)
        counts, judged = standing.counts, standing.judged
        return {
            "id": session.id,
            "name": session.plan.name,
            "votes_per_meme": session.plan.votes_per_meme,
            "suggestions": session.plan.suggestions.value,
            "policy": dict(session.plan.policy),
            "open_until": session.plan.open_until,
            "open": labelling.is_open(session),
            "created_at": session.created_at,
            "counts": {name: getattr(counts, name) for name in counts.__slots__},
            "invites": [
                {"token": invite.token, "created_at": invite.created_at}
                for invite in labelling.invites(session.id)
                if invite.revoked_at is None
            ],
            "people": [
                person_view(one, judged.get(one.id, 0)) for one in labelling.people(session.id)
            ],
        }

    @routes.get("")
    def sessions(request: Request) -> list[dict[str, Any]]:
        only_admin(request)
        return [shown(session) for session in labelling.sessions()]

    @routes.post("")
    def open_session(body: Opened, request: Request) -> dict[str, Any]:
        """Open a session with a first invite."""
        only_admin(request)
        session = told(lambda: labelling.open_session(body.plan(), selection=body.selection()))
        told(lambda: labelling.invite(session.id))
        app.ranker.start()
        return shown(session)

    @routes.post("/preview")
    def preview(body: Selected, request: Request) -> dict[str, Any]:
        """How many memes a session would have, and the data sets to choose from."""
        only_admin(request)
        sets = labelling.data_sets()
        return {
            "memes": labelling.size(body.selection()),
            "data_sets": [{"name": name, "memes": memes} for name, memes in sets.items()],
        }

    @routes.get("/{session_id}/plan")
    def plan(session_id: Id, request: Request) -> dict[str, Any]:
        only_admin(request)
        return plan_view(told(lambda: labelling.session(session_id)).plan)

    @routes.post("/{session_id}/change")
    def change(session_id: Id, body: Planned, request: Request) -> dict[str, Any]:
        """Put another plan in force."""
        only_admin(request)
        return shown(told(lambda: labelling.change_plan(session_id, body.plan())))

    @routes.get("/{session_id}/picture")
    def picture(session_id: Id, request: Request) -> dict[str, Any]:
        """Progress, speed, what people say, where the memes came from."""
        only_admin(request)
        return told(lambda: picture_view(app, session_id))

    @routes.get("/{session_id}/exposure")
    def exposure(
        session_id: Id, request: Request, midnight: Moment | None = None
    ) -> list[dict[str, Any]]:
        """Who looked at how much; `midnight` is that of the admin."""
        only_admin(request)
        told(lambda: labelling.session(session_id))
        began = None if midnight is None else datetime.fromtimestamp(midnight, UTC)
        return exposure_view(app, session_id, began)

    @routes.get("/{session_id}/warnings")
    def warnings(session_id: Id, request: Request) -> dict[str, str]:
        """Annotator → what is worth a word before their votes are left out."""
        only_admin(request)
        told(lambda: labelling.session(session_id))
        return app.quality.warnings(session_id)

    @routes.post("/{session_id}/open")
    def reopen(session_id: Id, body: Flag, request: Request) -> dict[str, Any]:
        only_admin(request)
        return shown(told(lambda: labelling.close(session_id, closed=not body.on)))

    @routes.post("/{session_id}/invites")
    def invite(session_id: Id, request: Request) -> dict[str, Any]:
        only_admin(request)
        told(lambda: labelling.invite(session_id))
        return shown(told(lambda: labelling.session(session_id)))

    @routes.post("/invites/{token}/revoke")
    def revoke(token: str, request: Request) -> dict[str, bool]:
        only_admin(request)
        told(lambda: labelling.revoke_invite(token[:100]))
        return {"ok": True}

    @routes.post("/people/{annotator_id}/admit")
    def admit(annotator_id: str, body: Flag, request: Request) -> dict[str, bool]:
        """Let somebody in again, or (off) take them out of the session; their votes stay."""
        only_admin(request)
        told(lambda: labelling.revoke_person(annotator_id[:100], revoked=not body.on))
        return {"ok": True}

    @routes.post("/people/{annotator_id}/count")
    def count(annotator_id: str, body: Flag, request: Request) -> dict[str, bool]:
        """Count somebody's votes again, or (off) leave them out of every sum; they are kept."""
        only_admin(request)
        told(lambda: labelling.exclude_person(annotator_id[:100], excluded=not body.on))
        return {"ok": True}

    @routes.post("/people/{annotator_id}/warn")
    def warn(annotator_id: str, body: Warned, request: Request) -> dict[str, bool]:
        """Tell somebody how they judge; an empty text takes it back."""
        only_admin(request)
        told(lambda: labelling.warn(annotator_id[:100], body.text))
        return {"ok": True}

    @routes.get("/{session_id}/quality")
    def quality(session_id: Id, request: Request) -> dict[str, Any]:
        only_admin(request)
        told(lambda: labelling.session(session_id))
        return quality_view(app, session_id)

    @routes.get("/{session_id}/disputed")
    def disputed(session_id: Id, request: Request) -> list[dict[str, Any]]:
        """The memes to adjudicate."""
        only_admin(request)
        told(lambda: labelling.session(session_id))
        return disputed_view(app, session_id)

    @routes.post("/{session_id}/decide")
    def decide(session_id: Id, body: Decided, request: Request) -> dict[str, bool]:
        only_admin(request)
        told(
            lambda: app.quality.decide(
                session_id,
                body.meme,
                body.labels,
                note=body.note.strip(),
                unclear=body.unclear,
                key=body.key,
            )
        )
        return {"ok": True}

    @routes.post("/{session_id}/gold")
    def gold(session_id: Id, body: Known, request: Request) -> dict[str, int]:
        """Make memes of the session ones with a known answer, from their votes elsewhere."""
        only_admin(request)
        return {"gold": told(lambda: labelling.draw_gold(session_id, body.memes))}

    @routes.get("/invites/{token}/code.svg")
    def code(token: str, address: str, request: Request) -> Response:
        """A QR code of the invite's address, which only the browser knows in full."""
        only_admin(request)
        told(lambda: labelling.invited(token[:100]))
        if not address.endswith(f"/join/{token}") or len(address) > 500:
            raise HTTPException(400, "That is not the address of this invite.")
        buffer = io.BytesIO()
        segno.make(address, error="m").save(buffer, kind="svg", scale=6, border=3, light="white")
        return Response(buffer.getvalue(), media_type="image/svg+xml")

    return routes


def _in_utc(said: str) -> str:
    """As the store writes times, to compare with them; without a zone it is UTC already."""
    try:
        read = datetime.fromisoformat(said)
        return moment(read if read.tzinfo else read.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BadInput("The time until which the session is open is no date.") from error
