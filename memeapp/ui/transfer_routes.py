"""The admin's routes for memes and votes in and out: pieces of a file, imports, exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from memeapp.errors import MemeAppError
from memeapp.service.incoming import CHUNK, Upload, WrongOffset
from memeapp.types import Job
from memeapp.ui.audited import Audited
from memeapp.ui.label_routes import admin_only, refusal

if TYPE_CHECKING:
    from memeapp.wiring import App

T = TypeVar("T")

UploadId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
JobId = Annotated[int, Path(ge=0, lt=2**63)]


class Announced(BaseModel):
    """A file that is about to be sent."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    size: Annotated[int, Field(ge=0, lt=2**53)]
    mark: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]
    """Made of the file's first and last bytes."""


class Wanted(BaseModel):
    """An export as the form asks for it."""

    format: Literal["mami", "csv", "jsonl", "huggingface"] = "mami"
    session: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    names: bool = False


def transfer_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from all of them."""
    only_admin = admin_only(app)
    noted = Audited(app)
    routes = APIRouter(prefix="/transfer")

    @routes.get("")
    def look(request: Request) -> dict[str, Any]:
        """The last import and export, what is half-way in, and what can be had."""
        only_admin(request)
        return {
            "import": _job(app.imports.latest()),
            "export": _job(app.exports.latest()),
            "uploads": [_upload(upload) for upload in app.incoming.all()],
            "ready": [_job(job) for job in app.exports.ready()],
            "sessions": [
                {"id": session.id, "name": session.plan.name}
                for session in app.labelling.sessions()
            ],
        }

    @routes.post("/uploads")
    def begin(body: Announced, request: Request) -> dict[str, Any]:
        """Where the file goes on: at 0, or where it broke off."""
        only_admin(request)
        return _upload(
            noted(
                "upload.begin",
                body.name,
                lambda: app.incoming.begin(body.name, body.size, body.mark),
                bytes=body.size,
            )
        )

    @routes.put("/uploads/{upload_id}", response_model=None)
    async def put(
        upload_id: UploadId, offset: Annotated[int, Query(ge=0)], request: Request
    ) -> Response | dict[str, Any]:
        """A piece as the body; 409 with the right offset where it does not belong."""
        only_admin(request)
        piece = await request.body()

        def append() -> Response | dict[str, Any]:
            try:
                return _upload(answer(lambda: app.incoming.put(upload_id, offset, piece)))
            except WrongOffset as error:
                return _go_on(error)

        return await run_in_threadpool(append)

    @routes.post("/uploads/{upload_id}/finish", response_model=None)
    def finish(upload_id: UploadId, request: Request) -> Response | dict[str, Any] | None:
        """Import what has arrived."""
        only_admin(request)
        try:
            name = answer(lambda: app.incoming.finished(upload_id)).name
        except WrongOffset as error:
            return _go_on(error)
        return _job(noted("import.start", name, lambda: app.imports.start(upload_id)))

    @routes.post("/uploads/{upload_id}/remove")
    def remove(upload_id: UploadId, request: Request) -> dict[str, bool]:
        only_admin(request)
        name = answer(lambda: app.incoming.find(upload_id)).name
        noted("upload.remove", name, lambda: app.imports.remove(upload_id))
        return {"ok": True}

    @routes.post("/imports/{job_id}/cancel")
    def cancel_import(job_id: JobId, request: Request) -> dict[str, bool]:
        only_admin(request)
        noted("import.cancel", f"job {job_id}", lambda: app.imports.cancel(job_id))
        return {"ok": True}

    @routes.post("/exports")
    def export(body: Wanted, request: Request) -> dict[str, Any] | None:
        only_admin(request)
        return _job(
            noted(
                "export.start",
                body.format,
                lambda: app.exports.start(body.format, session_id=body.session, names=body.names),
                session=body.session,
                names=body.names,
            )
        )

    @routes.post("/exports/{job_id}/cancel")
    def cancel_export(job_id: JobId, request: Request) -> dict[str, bool]:
        only_admin(request)
        noted("export.cancel", f"job {job_id}", lambda: app.exports.cancel(job_id))
        return {"ok": True}

    @routes.get("/exports/{job_id}/file")
    def download(job_id: JobId, request: Request) -> Response:
        only_admin(request)
        file, name = noted("export.download", f"job {job_id}", lambda: app.exports.file(job_id))
        return FileResponse(
            file,
            media_type="application/zip",
            filename=name,
            headers={"Cache-Control": "private, no-store"},
        )

    return routes


def answer(act: Callable[[], T]) -> T:
    """As `told`, but for a wrong offset, which has an answer of its own. Raises: WrongOffset."""
    try:
        return act()
    except WrongOffset:
        raise
    except MemeAppError as error:
        raise refusal(error) from error


def _go_on(error: WrongOffset) -> Response:
    return JSONResponse({"detail": str(error), "offset": error.offset}, 409)


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "size": upload.size,
        "offset": upload.offset,
        "piece": CHUNK,
    }


def _job(job: Job | None) -> dict[str, Any] | None:
    if job is None:
        return None
    shown = asdict(job)
    for private in ("pid", "version", "encoder"):
        del shown[private]
    return {**shown, "active": job.state.active}
