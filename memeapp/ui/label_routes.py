"""The routes of the Annotate page, JSON in and out: join, get memes, judge, undo, look back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from memeapp.auth import ANNOTATOR_COOKIE, ANNOTATOR_SECONDS
from memeapp.errors import (
    AlreadyVoted,
    BadInput,
    Busy,
    DiskFull,
    MemeAppError,
    Mismatch,
    NotAllowed,
    NotFound,
    NotSaved,
    TooFewLabels,
    Unavailable,
)
from memeapp.judging import Annotator, Card, Harm, Judgement, Session, Vote, VoteKind
from memeapp.service.labelling import Preferences
from memeapp.ui.guidelines import to_html

if TYPE_CHECKING:
    from memeapp.wiring import App

T = TypeVar("T")

LONGEST_SECONDS = 24 * 3600.0

Token = Annotated[str, Field(min_length=1, max_length=100)]
Tab = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
Key = Annotated[str, Field(min_length=16, max_length=64)]
Name = Annotated[str, Field(max_length=100)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

STATUS: tuple[tuple[type[MemeAppError], int], ...] = (
    (NotAllowed, 403),
    (NotFound, 404),
    (AlreadyVoted, 409),
    (Busy, 409),
    (Mismatch, 409),
    (BadInput, 400),
    (TooFewLabels, 400),
    (Unavailable, 400),
    (DiskFull, 507),
    (NotSaved, 503),
)


class Join(BaseModel):
    name: Annotated[str, Field(max_length=1000)]
    invite: Token


class InTab(BaseModel):
    tab: Tab
    since: Annotated[float, Field(ge=0, le=1e11)] | None = None
    """When this sitting began, in seconds since 1970."""


class Undo(InTab):
    key: Key


class Sent(InTab):
    """A judgement as a browser sends it."""

    meme: Annotated[str, Field(max_length=64)]
    key: Key
    kind: Literal["vote", "unsure", "skip"] = "vote"
    labels: dict[Name, bool] = {}
    reason: Annotated[str, Field(max_length=40)] = ""
    note: Annotated[str, Field(max_length=2000)] = ""
    text: Annotated[str, Field(max_length=20_000)] | None = None
    harm: Harm = Harm.UNSAID
    seconds: Seconds = 0.0
    revealed: bool = False
    revealed_seconds: Seconds = 0.0
    replaces: int | None = None

    def judgement(self) -> Judgement:
        return Judgement(
            labels=self.labels,
            kind=VoteKind(self.kind),
            reason=self.reason,
            note=self.note.strip(),
            text=self.text,
            harm=self.harm,
            seconds=min(self.seconds, LONGEST_SECONDS),
            revealed=self.revealed,
            revealed_seconds=min(self.revealed_seconds, LONGEST_SECONDS),
        )


class Wishes(InTab):
    blur: bool = True
    greyscale: bool = True
    text_first: bool = True
    avoid: Annotated[list[Name], Field(max_length=100)] = []


def label_routes(app: App, signed_in: Callable[[str, str, int], Response]) -> APIRouter:
    """The routes; `signed_in(cookie, token, seconds)` answers with a cookie."""
    routes = APIRouter()
    labelling = app.labelling

    def annotator_id(request: Request) -> str:
        found = app.auth.identity(request.cookies).annotator_id
        if found is None:
            raise HTTPException(401, "Join a session first; you need its link.")
        return told(lambda: labelling.annotator(found)).id

    def page(annotator: str, body: InTab, **more: object) -> dict[str, Any]:
        return {
            "cards": [_card(card) for card in labelling.cards(annotator, body.tab)],
            "judged": labelling.judged(annotator),
            "exposure": 0.0 if body.since is None else labelling.exposure(annotator, body.since),
            **more,
        }

    @routes.get("/join/{token}")
    def enter(token: str) -> Response:
        """Where an invite link leads: to the page, which asks for a name."""
        try:
            labelling.invited(token[:100])
        except MemeAppError as error:
            return Response(str(error), 404, media_type="text/plain; charset=utf-8")
        return RedirectResponse(f"../?join={token}", 303)

    @routes.get("/label/invite/{token}")
    def invited(token: str) -> dict[str, str]:
        session = told(lambda: labelling.invited(token[:100]))
        return {"name": session.plan.name, "guidelines": to_html(session.plan.guidelines)}

    @routes.post("/label/join")
    def join(body: Join) -> Response:
        annotator = told(lambda: labelling.join(body.invite, body.name))
        token = app.auth.annotator_token(annotator.id)
        return signed_in(ANNOTATOR_COOKIE, token, ANNOTATOR_SECONDS)

    @routes.post("/label/open")
    def opened(body: InTab, request: Request) -> dict[str, Any]:
        """Everything that the page needs to begin, or to go on after a refresh."""
        me = annotator_id(request)

        def answer() -> dict[str, Any]:
            annotator = labelling.annotator(me)
            session = labelling.session_of(me)
            return page(
                me,
                body,
                name=annotator.name,
                warning=annotator.warning,
                session=_session(session, labelling.is_open(session)),
                preferences=_preferences(annotator),
            )

        return told(answer)

    @routes.post("/label/next")
    def following(body: InTab, request: Request) -> dict[str, Any]:
        me = annotator_id(request)
        return told(lambda: page(me, body))

    @routes.post("/label/vote")
    def vote(body: Sent, request: Request) -> dict[str, Any]:
        """Save a judgement, then give the next meme: what is answered is on the disk."""
        me = annotator_id(request)

        def answer() -> dict[str, Any]:
            saved = labelling.judge(
                me, body.meme, body.judgement(), key=body.key, replaces=body.replaces
            )
            return page(me, body, saved=_vote(saved), suggestion=labelling.suggestion(saved))

        return told(answer)

    @routes.post("/label/undo")
    def undo(body: Undo, request: Request) -> dict[str, Any]:
        me = annotator_id(request)

        def answer() -> dict[str, Any]:
            taken = labelling.undo(me, key=body.key, tab=body.tab)
            return page(me, body, undone=_vote(taken) if taken else None)

        return told(answer)

    @routes.get("/label/history")
    def history(request: Request) -> list[dict[str, Any]]:
        """The last judgements, which can be changed."""
        me = annotator_id(request)
        return [
            {**_vote(vote), "card": _card(card), "suggestion": labelling.suggestion(vote)}
            for vote, card in told(lambda: labelling.history(me))
        ]

    @routes.post("/label/preferences")
    def preferences(body: Wishes, request: Request) -> dict[str, Any]:
        me = annotator_id(request)
        wishes = Preferences(body.blur, body.greyscale, body.text_first, tuple(body.avoid))

        def answer() -> dict[str, Any]:
            labelling.set_preferences(me, wishes)
            return page(me, body)

        return told(answer)

    @routes.post("/label/renew")
    def renew(body: InTab, request: Request) -> dict[str, int]:
        me = annotator_id(request)
        return {"kept": told(lambda: labelling.renew(me, body.tab))}

    @routes.post("/label/close")
    def closed(body: InTab, request: Request) -> dict[str, bool]:
        labelling.give_back(annotator_id(request), body.tab)
        return {"ok": True}

    @routes.get("/label/progress")
    def progress(request: Request) -> dict[str, Any]:
        """How far the session is, and what else goes on around somebody."""
        me = annotator_id(request)
        return told(lambda: {**app.picture.for_annotators(me), **labelling.surroundings(me)})

    return routes


def told(answer: Callable[[], T]) -> T:
    """The answer; the app's own errors as a status and a sentence for people."""
    try:
        return answer()
    except MemeAppError as error:
        raise refusal(error) from error


def refusal(error: MemeAppError) -> HTTPException:
    """One of the app's own errors as a status and a sentence for people."""
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    return HTTPException(status, str(error))


def admin_only(app: App) -> Callable[[Request], None]:
    """A check that answers whoever is not the admin with a 403."""

    def check(request: Request) -> None:
        if not app.auth.identity(request.cookies).admin:
            raise HTTPException(403, "Log in as admin first.")

    return check


def _card(card: Card) -> dict[str, Any]:
    """What the browser needs; of the model's answer only what may be seen now."""
    return {
        "meme": card.meme.id,
        "text": card.meme.text,
        "width": card.meme.width,
        "height": card.meme.height,
        "key": uuid4().hex,
        "suggestion": card.suggestion if card.assisted else None,
    }


def _vote(vote: Vote) -> dict[str, Any]:
    said = vote.judgement
    return {
        "id": vote.id,
        "meme": vote.meme_id,
        "kind": said.kind.value,
        "labels": dict(said.labels),
        "reason": said.reason,
        "note": said.note,
        "text": said.text,
        "harm": said.harm.value,
    }


def _session(session: Session, is_open: bool) -> dict[str, Any]:
    return {
        "name": session.plan.name,
        "guidelines": to_html(session.plan.guidelines),
        "open": is_open,
        "break_minutes": session.plan.break_minutes,
        "break_exposure": session.plan.break_exposure,
    }


def _preferences(annotator: Annotator) -> dict[str, Any]:
    wishes = Preferences.of(annotator)
    return {
        "blur": wishes.blur,
        "greyscale": wishes.greyscale,
        "text_first": wishes.text_first,
        "avoid": list(wishes.avoid),
    }
