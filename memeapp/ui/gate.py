"""Middleware in front of everything: what is refused at once, and the headers on every answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memeapp.service.bundle import MAX_BYTES
from memeapp.service.incoming import CHUNK

HEADERS = {
    # Gradio compiles its templates in the browser: it needs 'unsafe-inline' and 'unsafe-eval'.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}

CLOSED = (
    # Routes that make the server work or tell of itself, and that no page uses.
    "/gradio_api/process_recording",
    "/gradio_api/deep_link",
    "/monitoring",
    # Gradio would fetch these addresses on a visitor's behalf.
    "/gradio_api/file=http",
    "/gradio_api/file/http",
    "/gradio_api/proxy=",
)
UPLOAD = "/gradio_api/upload"
PIECE = "/transfer/uploads/"
BUNDLE = "/versions/upload"
MAX_BODY = 2**20
"""Bytes of a request that is no upload. Without a bound, one request could take gigabytes."""


class Gate:
    """Refuses closed routes, requests from other sites' pages, and bodies that are too large."""

    def __init__(self, app: ASGIApp, *, max_upload: int) -> None:
        """`max_upload` in bytes, for one file."""
        self.app = app
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                # Gradio lets pages on other ports of this machine read answers; ours need not.
                for name in [name for name in headers if name.startswith("access-control-")]:
                    del headers[name]
            await send(message)

        answer = self.refusal(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def refusal(self, scope: Scope) -> PlainTextResponse | None:
        """The answer to a request that goes no further, or None."""
        headers, path = Headers(scope=scope), scope["path"].lower()
        if path.startswith(CLOSED):
            return PlainTextResponse("There is nothing here.", 404)
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = headers.get("origin")
        # SameSite cookies know no ports: a page on another port of this host would send them along.
        if origin and urlsplit(origin).netloc not in (
            headers.get("host"),
            headers.get("x-forwarded-host"),
        ):
            return PlainTextResponse("Requests from other sites are not taken.", 403)
        if path.startswith(PIECE):
            limit = CHUNK
        elif path == BUNDLE:
            limit = MAX_BYTES
        else:
            limit = MAX_BODY + (self.max_upload if path.startswith(UPLOAD) else 0)
        if (length := headers.get("content-length", "0" if _bodiless(headers) else "")) == "":
            return PlainTextResponse("Say how long the request is.", 411)
        if not length.isdecimal() or int(length) > limit:
            return PlainTextResponse(f"A request has at most {limit:,} bytes here.", 413)
        return None


def _bodiless(headers: Headers) -> bool:
    return "transfer-encoding" not in headers
