"""The admin's routes for labelling sessions, JSON in and out: open, watch, invite, close."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import segno
from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from memeapp.crowd.intervals import Estimate, Share
from memeapp.errors import BadInput
from memeapp.judging import Annotator, Plan, Session, Suggestions
from memeapp.ui.label_routes import Key, Name, told

if TYPE_CHECKING:
    from memeapp.wiring import App

Id = Annotated[int, Path(ge=0, lt=2**63)]
Portion = Annotated[float, Field(ge=0, le=100)]


class Planned(BaseModel):
    """A plan as the form sends it; the queues' shares in any unit."""

    name: Annotated[str, Field(max_length=1000)]
    guidelines: Annotated[str, Field(max_length=100_000)] = ""
    votes_per_meme: Annotated[int, Field(ge=-1000, le=1000)] = 3
    policy: dict[Name, Portion] = {"random": 1.0}
    suggestions: Suggestions = Suggestions.AFTER
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
            break_minutes=self.break_minutes,
            break_exposure=self.break_exposure,
            leaderboard=self.leaderboard,
            open_until=_in_utc(self.open_until) if self.open_until else None,
        )


class Decided(BaseModel):
    """An adjudication as the page sends it."""

    meme: Annotated[str, Field(max_length=64)]
    labels: dict[Name, bool]
    note: Annotated[str, Field(max_length=2000)] = ""
    unclear: bool = False
    key: Key


class Known(BaseModel):
    memes: Annotated[int, Field(ge=0, le=1000)]


class Flag(BaseModel):
    on: bool


def session_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    labelling = app.labelling

    def only_admin(request: Request) -> None:
        if not app.auth.identity(request.cookies).admin:
            raise HTTPException(403, "Log in as admin first.")

    routes = APIRouter(prefix="/sessions")

    def shown(session: Session) -> dict[str, Any]:
        counts = labelling.counts(session.id)
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
            "people": [_person(app, one) for one in labelling.people(session.id)],
        }

    @routes.get("")
    def sessions(request: Request) -> list[dict[str, Any]]:
        only_admin(request)
        return [shown(session) for session in labelling.sessions()]

    @routes.post("")
    def open_session(body: Planned, request: Request) -> dict[str, Any]:
        """Open a session on all memes, with a first invite."""
        only_admin(request)
        session = told(lambda: labelling.open_session(body.plan()))
        told(lambda: labelling.invite(session.id))
        app.ranker.start()
        return shown(session)

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

    @routes.get("/{session_id}/quality")
    def quality(session_id: Id, request: Request) -> dict[str, Any]:
        """How far people agree, how each judges, and how the model's answer pulls."""
        only_admin(request)
        told(lambda: labelling.session(session_id))
        pull = app.quality.pull(session_id)
        effective = app.quality.effective_labels(session_id)
        return {
            "labels": [
                {
                    "name": next(one.title for one in app.schema.labels if one.name == label),
                    "memes": found.memes,
                    "observed": _figure(found.observed),
                    "alpha": _figure(found.alpha),
                    "ac1": _figure(found.ac1),
                    "effective": effective.get(label),
                    "switched": _figure(pull.switched[label]),
                    "shift": _figure(pull.shift[label]),
                }
                for label, found in app.quality.agreement(session_id).items()
            ],
            "people": [
                {
                    **_person(app, one),
                    "agreement": _figure(found.agreement if found else None),
                    "gold": _figure(found.gold if found else None),
                    "seconds": found.median_seconds if found else None,
                    "warn": found.warn if found else "",
                    "exposure": labelling.exposure(one.id, 0.0),
                    "unrevealed": labelling.unrevealed(one.id),
                }
                for one, found in app.quality.people(session_id)
            ],
        }

    @routes.get("/{session_id}/disputed")
    def disputed(session_id: Id, request: Request) -> list[dict[str, Any]]:
        """The memes to adjudicate, votes and notes side by side; nobody is named."""
        only_admin(request)
        told(lambda: labelling.session(session_id))
        return [
            {
                "meme": one.meme.id,
                "text": one.meme.text,
                "width": one.meme.width,
                "height": one.meme.height,
                "disagreement": one.disagreement,
                "votes": [
                    {"labels": dict(vote.labels), "note": vote.judgement.note} for vote in one.votes
                ],
                "decision": dict(one.decision.labels) if one.decision else None,
            }
            for one in app.quality.disputed(session_id)
        ]

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


def _in_utc(moment: str) -> str:
    """As the store writes times, to compare with them; without a zone it is UTC already."""
    try:
        read = datetime.fromisoformat(moment)
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        return read.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:
        raise BadInput("The time until which the session is open is no date.") from error


def _figure(found: Estimate | Share | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high}


def _person(app: App, one: Annotator) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "judged": app.labelling.judged(one.id),
        "admitted": one.revoked_at is None,
        "counted": one.excluded_at is None,
    }
