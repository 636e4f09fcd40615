"""The admin's routes for model versions: the list, use, delete, one as a file out and in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from memeapp.service.bundle import CHUNK, UPLOADED_AS
from memeapp.service.versions import Listed
from memeapp.store.audit import ADMIN
from memeapp.ui.label_routes import admin_only, told

if TYPE_CHECKING:
    from memeapp.wiring import App


def version_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    versions = app.versions
    only_admin = admin_only(app)
    routes = APIRouter(prefix="/versions")

    @routes.get("")
    def look(request: Request) -> dict[str, Any]:
        only_admin(request)
        listed = versions.all()
        return {
            "versions": [_shown(one) for one in listed],
            "bytes": sum(one.disk_bytes for one in listed),
        }

    @routes.post("/upload")
    async def upload(request: Request) -> dict[str, Any]:
        """A bundle as the body; it becomes a version that does not answer yet."""
        only_admin(request)
        size = int(request.headers.get("content-length", 0))
        with await run_in_threadpool(told, partial(versions.room, size)) as file:
            try:
                async for piece in request.stream():
                    await run_in_threadpool(told, partial(versions.write, file, piece))
            except ClientDisconnect as error:
                raise HTTPException(400, "The upload broke off; send it again.") from error
            unpack = partial(versions.unpack, file, ADMIN)
            version, notices = await run_in_threadpool(told, unpack)
        return {"name": version.name, "notices": notices}

    @routes.post("/{name}/promote")
    def promote(name: str, request: Request) -> dict[str, str]:
        """Let it answer, newer or older, and put the memes into the queues anew."""
        only_admin(request)
        told(lambda: versions.promote(name, ADMIN))
        app.ranker.start()
        return {"name": name}

    @routes.post("/{name}/delete")
    def delete(name: str, request: Request) -> dict[str, str]:
        only_admin(request)
        told(lambda: versions.delete(name, ADMIN))
        return {"name": name}

    @routes.get("/{name}/bundle.zip")
    def download(name: str, request: Request) -> StreamingResponse:
        only_admin(request)
        file = told(lambda: versions.pack(name, ADMIN))
        return StreamingResponse(
            _pieces(file),
            media_type="application/zip",
            headers={
                "Content-Length": str(os.fstat(file.fileno()).st_size),
                "Content-Disposition": f'attachment; filename="{name}.zip"',
                "Cache-Control": "private, no-store",
            },
        )

    return routes


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


def _shown(one: Listed) -> dict[str, Any]:
    version = one.version
    return {
        "name": version.name,
        "created_at": version.created_at,
        "encoder": version.encoder,
        "parent": version.parent,
        "parent_here": one.after is not None,
        "uploaded_as": version.data.get(UPLOADED_AS),
        "lane": one.lane,
        "labelled": version.data.get("labelled"),
        "a": version.metrics.get("task_a"),
        "b": version.metrics.get("task_b"),
        "gate": _gate(version.metrics.get("gate")),
        "bytes": one.disk_bytes,
        "current": one.current,
        "shipped": one.shipped,
        "older": one.older,
    }


def _gate(said: object) -> dict[str, Any] | None:
    if not isinstance(said, Mapping):
        return None
    return {"verdict": said.get("verdict"), "reason": said.get("reason")}
