"""The admin's route to what comes in, beside what was learned."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from memeapp.ui.label_routes import admin_only, told

if TYPE_CHECKING:
    from memeapp.wiring import App


def drift_routes(app: App) -> APIRouter:
    """The route; whoever is not the admin gets a 403 from it."""
    only_admin = admin_only(app)
    routes = APIRouter(prefix="/drift")

    @routes.get("")
    def look(request: Request) -> dict[str, Any]:
        """The comparison; some seconds the first time that a version is asked about."""
        only_admin(request)
        return asdict(told(app.drift.report))

    return routes
