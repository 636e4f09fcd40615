"""The admin's pages of receipts: one of each version, and any two versions beside each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from memeapp.errors import MemeAppError, NotFound
from memeapp.learn.gate import Rule
from memeapp.service.flips import Flips
from memeapp.service.receipt import FILE, read_receipt
from memeapp.service.recent import Recent
from memeapp.service.versus import Versus, compare
from memeapp.types import Meme
from memeapp.ui.label_routes import admin_only, refusal, told
from memeapp.ui.receipt_views import compare_page, note_page, receipt_page

if TYPE_CHECKING:
    from memeapp.wiring import App

Name = Annotated[str, Query(max_length=100)]
PRIVATE = {"Cache-Control": "private, no-store"}


def receipt_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    only_admin = admin_only(app)
    routes = APIRouter(prefix="/versions")
    one_at_a_time = threading.Lock()

    def side_by_side(names: tuple[str, str]) -> Versus:
        rule = Rule(margin=app.settings.gate_margin)
        with one_at_a_time:  # all memes, all votes and two models are in memory for it
            return compare(app.store, app.registry, app.schema, *names, rule)

    recent = Recent(side_by_side)

    def page(request: Request, root: str, make: Callable[[], str]) -> Response:
        """What `make` gives; refusals as JSON, or as a page to whoever takes one."""
        if not app.auth.identity(request.cookies).admin:
            if "text/html" not in request.headers.get("accept", ""):
                only_admin(request)
            sentence = "Log in as admin on the Admin page, then open this address again."
            return HTMLResponse(note_page("For admins only", sentence, root), 403, PRIVATE)
        try:
            return HTMLResponse(make(), headers=PRIVATE)
        except MemeAppError as error:
            told_as = refusal(error)
            if "text/html" not in request.headers.get("accept", ""):
                raise told_as from error
            missing = isinstance(error, NotFound)
            title = "There is no such version" if missing else "That cannot be shown"
            return HTMLResponse(note_page(title, str(error), root), told_as.status_code, PRIVATE)

    def known(flips: Flips | None) -> dict[str, Meme]:
        """Those memes of the flips that are here."""
        named = {flip.meme for flip in flips.largest} if flips else set()
        return {id: app.store.meme(id) for id in named if app.store.has_meme(id)}

    @routes.get("/compare")
    def compared(a: Name, b: Name, request: Request) -> Response:
        def make() -> str:
            names = [app.registry.find(name) for name in (a, b)]
            older, newer = sorted(names, key=lambda one: (one.created_at, one.name))
            found = recent((older.name, newer.name), app.store.counts_mark())
            return compare_page(found, app.schema, known(found.flips))

        return page(request, "../", make)

    @routes.get("/{name}/receipt")
    def receipt(name: str, request: Request) -> Response:
        def make() -> str:
            version = app.registry.find(name)
            try:
                found, why = read_receipt(version), ""
            except MemeAppError as error:
                found, why = None, str(error)
            memes = known(found.flips if found else None)
            return receipt_page(version, app.schema, found, why, memes)

        return page(request, "../../", make)

    @routes.get("/{name}/receipt.json")
    def download(name: str, request: Request) -> Response:
        only_admin(request)
        version = told(lambda: app.registry.find(name))
        told(lambda: read_receipt(version))
        assert version.path is not None
        return FileResponse(
            version.path / FILE,
            media_type="application/json",
            filename=f"{version.name}-receipt.json",
            headers=PRIVATE,
        )

    return routes
