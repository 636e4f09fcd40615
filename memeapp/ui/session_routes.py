"""The admin's routes for labelling sessions, JSON in and out: open, watch, invite, close."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import segno
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response

from memeapp.judging import Session
from memeapp.ui.audited import Audited
from memeapp.ui.label_routes import admin_only, told
from memeapp.ui.session_bodies import Decided, Flag, Known, Opened, Planned, Selected, Warned
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

T = TypeVar("T")

Id = Annotated[int, Path(ge=0, lt=2**63)]
Moment = Annotated[float, Query(ge=0, le=1e11)]
"""Seconds since 1970."""


def session_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    labelling = app.labelling
    only_admin = admin_only(app)
    noted = Audited(app)
    routes = APIRouter(prefix="/sessions")

    def noted_of(session_id: int, what: str, act: Callable[[], T]) -> T:
        name = told(lambda: labelling.session(session_id)).plan.name
        return noted(what, name, act, session=session_id)

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
        session = noted(
            "session.open",
            body.name,
            lambda: labelling.open_session(body.plan(), selection=body.selection()),
        )
        noted_of(session.id, "invite.make", lambda: labelling.invite(session.id))
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

        def act() -> Session:
            return labelling.change_plan(session_id, body.plan())

        return shown(noted_of(session_id, "session.change", act))

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
        what = "session.reopen" if body.on else "session.close"
        return shown(
            noted_of(session_id, what, lambda: labelling.close(session_id, closed=not body.on))
        )

    @routes.post("/{session_id}/invites")
    def invite(session_id: Id, request: Request) -> dict[str, Any]:
        only_admin(request)
        noted_of(session_id, "invite.make", lambda: labelling.invite(session_id))
        return shown(told(lambda: labelling.session(session_id)))

    @routes.post("/invites/{token}/revoke")
    def revoke(token: str, request: Request) -> dict[str, bool]:
        only_admin(request)
        invite = told(lambda: app.store.invite(token))
        noted_of(invite.session_id, "invite.revoke", lambda: labelling.revoke_invite(invite.token))
        return {"ok": True}

    @routes.post("/people/{annotator_id}/admit")
    def admit(annotator_id: str, body: Flag, request: Request) -> dict[str, bool]:
        """Let somebody in again, or (off) take them out of the session; their votes stay."""
        only_admin(request)
        noted(
            "person.admit" if body.on else "person.take_out",
            annotator_id,
            lambda: labelling.revoke_person(annotator_id[:100], revoked=not body.on),
        )
        return {"ok": True}

    @routes.post("/people/{annotator_id}/count")
    def count(annotator_id: str, body: Flag, request: Request) -> dict[str, bool]:
        """Count somebody's votes again, or (off) leave them out of every sum; they are kept."""
        only_admin(request)
        noted(
            "person.count" if body.on else "person.leave_out",
            annotator_id,
            lambda: labelling.exclude_person(annotator_id[:100], excluded=not body.on),
        )
        return {"ok": True}

    @routes.post("/people/{annotator_id}/warn")
    def warn(annotator_id: str, body: Warned, request: Request) -> dict[str, bool]:
        """Tell somebody how they judge; an empty text takes it back."""
        only_admin(request)
        noted(
            "person.warn" if body.text else "person.unwarn",
            annotator_id,
            lambda: labelling.warn(annotator_id[:100], body.text),
        )
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
        noted(
            "meme.decide",
            body.meme,
            lambda: app.quality.decide(
                session_id,
                body.meme,
                body.labels,
                note=body.note.strip(),
                unclear=body.unclear,
                key=body.key,
            ),
            session=session_id,
            unclear=body.unclear,
        )
        return {"ok": True}

    @routes.post("/{session_id}/gold")
    def gold(session_id: Id, body: Known, request: Request) -> dict[str, int]:
        """Make memes of the session ones with a known answer, from their votes elsewhere."""
        only_admin(request)
        return {
            "gold": noted_of(
                session_id, "session.gold", lambda: labelling.draw_gold(session_id, body.memes)
            )
        }

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
