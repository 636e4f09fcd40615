"""Personal links, by which somebody goes on with a session in another browser, JSON in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import segno
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from memeapp.auth import ANNOTATOR_COOKIE, ANNOTATOR_SECONDS
from memeapp.errors import MemeAppError, NotAllowed, NotFound
from memeapp.judging import Annotator
from memeapp.ui.audited import Audited
from memeapp.ui.label_routes import admin_only, told

if TYPE_CHECKING:
    from memeapp.wiring import App

LONGEST_TOKEN = 300


class Here(BaseModel):
    page: Annotated[str, Field(pattern=r"^https?://[^\s?#]+/$", max_length=300)]
    """The address of the app, which only the browser knows in full."""


class Back(BaseModel):
    token: Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)]


def return_routes(app: App, signed_in: Callable[[str, str, int], Response]) -> APIRouter:
    """The routes; `signed_in(cookie, token, seconds)` answers with a cookie."""
    routes = APIRouter()
    only_admin = admin_only(app)
    noted = Audited(app)

    def person(token: str) -> Annotator:
        """Who comes by this link. Raises: NotAllowed, NotFound."""
        return app.labelling.annotator(app.auth.returning(token[:LONGEST_TOKEN]))

    @routes.get("/back/{token}")
    def enter(token: str) -> Response:
        """Where a personal link leads: to the page, which asks before it signs anybody in.

        Programs that look at a link for a preview get no cookie.
        """
        try:
            person(token)
        except MemeAppError as error:
            return Response(str(error), 404, media_type="text/plain; charset=utf-8")
        return RedirectResponse(f"../?back={token}", 303)

    @routes.get("/label/back/{token}")
    def whose(token: str) -> dict[str, str]:
        """Who would go on, and where."""
        one = told(lambda: person(token))
        return {"name": one.name, "session": app.labelling.session_of(one.id).plan.name}

    @routes.post("/label/back")
    def back(body: Back) -> Response:
        one = told(lambda: person(body.token))
        return signed_in(ANNOTATOR_COOKIE, app.auth.annotator_token(one.id), ANNOTATOR_SECONDS)

    @routes.post("/label/link")
    def own_link(body: Here, request: Request) -> dict[str, str]:
        """A personal link of one's own, and a QR code of it as the source of a picture."""
        found = app.auth.identity(request.cookies).annotator_id
        if found is None:
            raise HTTPException(401, "Join a session first; you need its link.")
        me = told(lambda: app.labelling.annotator(found)).id
        address = f"{body.page}back/{app.auth.return_token(me)}"
        code = segno.make(address, error="m").svg_data_uri(scale=5, border=3, light="white")
        return {"address": address, "code": code}

    @routes.post("/label/people/{annotator_id}/link")
    def link_of(annotator_id: str, request: Request) -> dict[str, str]:
        """A personal link for somebody who lost their cookie; only for the admin."""
        only_admin(request)
        try:
            one = app.labelling.annotator(annotator_id[:100])
        except NotAllowed as error:
            raise HTTPException(409, "Let this person in again first.") from error
        except NotFound as error:
            raise HTTPException(404, "There is no such person in any session.") from error
        return {"token": noted("person.link", one.id, lambda: app.auth.return_token(one.id))}

    return routes
