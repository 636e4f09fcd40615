"""A server that answers what was asked before it stops, and waits for no page to be closed."""

from __future__ import annotations

import socket
from collections.abc import Callable

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.routing import Mount

STOP_SECONDS = 25
"""How long a stop waits for requests that are being answered."""


class Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT: takes no more connections, answers what came in, ends."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], object]) -> None:
        config.timeout_graceful_shutdown = STOP_SECONDS
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def end_streams(page: FastAPI) -> None:
    """End the streams that gradio keeps open as long as a page is; only `launch` does it itself."""
    for route in page.routes:
        if isinstance(route, Mount) and isinstance(route.app, gr.routes.App):
            route.app.stop_event.set()
