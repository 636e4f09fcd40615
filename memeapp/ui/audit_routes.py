"""The admin's routes that show what was done: a page of lines, or all of them as a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from memeapp.store.audit import as_csv
from memeapp.ui.label_routes import admin_only

if TYPE_CHECKING:
    from memeapp.wiring import App


def audit_routes(app: App) -> APIRouter:
    """The routes; whoever is not the admin gets a 403 from both."""
    only_admin = admin_only(app)
    routes = APIRouter()

    @routes.get("/audit")
    def audit(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
        before: Annotated[int, Query(ge=0, lt=2**63)] | None = None,
    ) -> dict[str, Any]:
        """Newest first; `before` is the number of the last line that was seen."""
        only_admin(request)
        deeds = app.store.audit(limit + 1, before)
        return {"deeds": [asdict(deed) for deed in deeds[:limit]], "more": len(deeds) > limit}

    @routes.get("/audit.csv")
    def table(request: Request) -> StreamingResponse:
        """All of it, oldest first, safe in a spreadsheet."""
        only_admin(request)
        return StreamingResponse(
            as_csv(app.store.whole_audit()),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": 'attachment; filename="memeapp-audit.csv"',
                "Cache-Control": "private, no-store",
            },
        )

    return routes
