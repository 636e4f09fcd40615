"""The web server: cookie routes, pictures, security headers, and the pages mounted at the root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import gradio as gr
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from memeapp import __version__
from memeapp.auth import (
    ADMIN_COOKIE,
    ADMIN_SECONDS,
    ANNOTATOR_COOKIE,
    Door,
    TooManyAttempts,
)
from memeapp.errors import BadSetting, MemeAppError, NotAllowed, NotFound
from memeapp.settings import Settings
from memeapp.ui import admin, annotate, classify, uploads
from memeapp.ui.api_routes import api_routes
from memeapp.ui.audit_routes import audit_routes
from memeapp.ui.audited import Audited
from memeapp.ui.components import ASSETS
from memeapp.ui.drift_routes import drift_routes
from memeapp.ui.gate import Gate
from memeapp.ui.label_routes import label_routes, told
from memeapp.ui.metrics import Measured, Metrics, metrics_routes
from memeapp.ui.receipt_routes import receipt_routes
from memeapp.ui.retrain_routes import retrain_routes
from memeapp.ui.return_routes import return_routes
from memeapp.ui.session_routes import session_routes
from memeapp.ui.stopping import Server, end_streams
from memeapp.ui.theme import head, theme
from memeapp.ui.transfer_routes import transfer_routes
from memeapp.ui.version_routes import version_routes

if TYPE_CHECKING:
    from memeapp.wiring import App

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than people think about a meme."""


class Login(BaseModel):
    password: Annotated[str, Field(max_length=1000)]


class Leave(BaseModel):
    role: Literal["admin", "annotator"]


def build_app(app: App) -> FastAPI:
    """The whole web app. Serve it with `serve`, or with any ASGI server in one process."""
    folder = app.settings.data.resolve() / "uploads"
    uploads.empty(folder)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    gr.set_static_paths([ASSETS / "examples"])  # copied into the folder of uploads otherwise
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Gradio sums up its statistics after each event otherwise, which halves the throughput.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(uploads.keep_sweeping(folder))
        scheduling = asyncio.create_task(app.scheduler.keep_looking())
        yield
        scheduling.cancel()
        sweeping.cancel()
        await run_in_threadpool(app.inputs.close)
        uploads.empty(folder)

    page = FastAPI(
        title="memeapp", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    metrics = Metrics(app)
    page.add_middleware(Gate, max_upload=app.settings.max_upload_mb * 2**20)
    page.add_middleware(Measured, metrics=metrics)
    page.include_router(metrics_routes(app, metrics))
    _add_routes(page, app)
    demo = _pages(app, metrics)
    gr.mount_gradio_app(
        page,
        demo,
        path="/",
        root_path=app.settings.root_path or None,
        auth_dependency=lambda request: app.auth.identity(request.cookies).username,
        show_error=False,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        max_file_size=app.settings.max_upload_mb * 2**20,
        theme=theme(),
        head=head(),
    )
    # Only `launch` sets this, and without it gradio lets a client name any file of the server.
    demo.has_launched = True
    return page


def serve(app: App, *, announce: Callable[[str], object]) -> None:
    """Listen, open the models, and tell the address; returns when the server is stopped.

    Raises:
        BadSetting: if the port is taken or the address is not one of this machine.
    """
    settings = app.settings
    with _listen(settings) as listening:
        try:
            for notice in app.classifier.status().notices:
                announce(notice)
        except MemeAppError as error:  # labelling and retraining are the way out
            announce(f"Nothing can be classified yet. {error}")
        page = build_app(app)
        config = uvicorn.Config(
            page,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            **forwarding(settings),
        )
        if password := app.auth.generate():
            announce(f"Admin password, shown this once: {password}")
        host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host
        announce(f"Open http://{host}:{settings.port}{settings.root_path} (Ctrl+C stops the app)")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean stop
            Server(config, partial(end_streams, page)).run(sockets=[listening])


def forwarding(settings: Settings) -> dict[str, Any]:
    """How uvicorn is told which proxies to believe; without any it believes none."""
    trusted = settings.trusted_proxies
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted}


def _listen(settings: Settings) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen()
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise BadSetting(
            f"Cannot listen on {settings.host}, port {settings.port}: {reason}. Set MEMEAPP_PORT "
            "(or --port) to a free port, or MEMEAPP_HOST (or --host) to an address of this machine."
        ) from error
    return listening


def _pages(app: App, metrics: Metrics) -> gr.Blocks:
    demo = gr.Blocks(title="memeapp", analytics_enabled=False)
    with demo:
        gr.HTML(
            f"<h1>memeapp</h1><p>People judge memes, a model learns from them. "
            f"<span>Version {__version__}</span></p>",
            js_on_load=None,
            apply_default_css=False,
            elem_id="masthead",
        )
        with gr.Tabs(elem_id="pages"):
            for title, build in (
                ("Classify", partial(classify.build, classified=metrics.classified)),
                ("Annotate", annotate.build),
                ("Admin", admin.build),
            ):
                with gr.Tab(title, id=title.lower(), elem_id=f"tab-{title.lower()}"):
                    build(app, demo)
    demo.queue(default_concurrency_limit=8, max_size=200)
    return demo


def _add_routes(page: FastAPI, app: App) -> None:
    settings = app.settings
    cookie_path = settings.root_path or "/"
    door = Door(app.auth.admin_token)
    noted = Audited(app)

    def signed_in(cookie: str, token: str, seconds: int) -> Response:
        response = JSONResponse({"ok": True})
        response.set_cookie(
            cookie,
            token,
            max_age=seconds,
            path=cookie_path,
            secure=settings.secure_cookies,
            httponly=True,
            samesite="strict",
        )
        return response

    @page.exception_handler(RequestValidationError)
    def unusable(_: Request, error: RequestValidationError) -> Response:
        """A sentence that repeats nothing of what was sent: that may not even be JSON."""
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"][1:2] if isinstance(part, str))
        return JSONResponse({"detail": f"That cannot be used. {where}{first['msg']}."}, 422)

    @page.post("/auth/admin")
    async def login(body: Login, request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            token = await door.token(address, body.password)
        except TooManyAttempts as error:
            raise HTTPException(429, str(error)) from error
        except NotAllowed as error:
            raise HTTPException(403, str(error)) from error
        with contextlib.suppress(HTTPException):  # a full disk keeps nobody from making room
            await run_in_threadpool(noted, "admin.login", "", lambda: None)
        return signed_in(ADMIN_COOKIE, token, ADMIN_SECONDS)

    page.include_router(label_routes(app, signed_in))
    page.include_router(return_routes(app, signed_in))
    page.include_router(session_routes(app))
    page.include_router(transfer_routes(app))
    page.include_router(drift_routes(app))
    page.include_router(receipt_routes(app))
    page.include_router(version_routes(app))
    page.include_router(audit_routes(app))
    page.include_router(retrain_routes(app))
    page.include_router(api_routes(app))

    @page.post("/auth/leave")
    def leave(body: Leave) -> Response:
        response = JSONResponse({"ok": True})
        cookie = ADMIN_COOKIE if body.role == "admin" else ANNOTATOR_COOKIE
        response.delete_cookie(cookie, path=cookie_path)
        return response

    @page.get("/media/{meme_id}")
    def media(meme_id: str, request: Request) -> Response:
        """A meme's picture, for people who judge and for admins."""
        identity = app.auth.identity(request.cookies)
        if not (identity.admin or identity.annotator_id):
            raise HTTPException(403, "Join a session first; you need its link.")
        if not identity.admin:
            told(lambda: app.labelling.annotator(identity.annotator_id or ""))
        try:
            file = app.labelling.picture(meme_id)
        except NotFound as error:
            raise HTTPException(404, "There is no such meme.") from error
        return FileResponse(
            file, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
        )
