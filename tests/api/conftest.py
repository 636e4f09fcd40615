"""A browser without a page: every way into a gradio handler, by raw HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.conftest import FakeApp, serving


@dataclass(frozen=True)
class Answer:
    """What came back: the outputs of the handler, or the error that the client is shown."""

    data: list[Any] | None
    error: str | None

    @property
    def text(self) -> str:
        return json.dumps(self.data) if self.data is not None else str(self.error)


class Client:
    """One visitor with a cookie jar."""

    ROUTES = ("call", "join", "run", "api")

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=30)
        self.session = "session-of-a-test"

    def send(
        self, route: str, name: str, data: list[Any], event: dict[str, Any] | None = None
    ) -> Answer:
        """Reach the handler `name` by one of `ROUTES`."""
        body: dict[str, Any] = {"data": data, "session_hash": self.session, "event_data": event}
        if route == "call":
            reply = self.http.post(f"gradio_api/call/{name}", json=body)
            if reply.is_error:
                return Answer(None, reply.text)
            return self._called(name, reply.json()["event_id"])
        if route == "join":
            reply = self.http.post(
                "gradio_api/queue/join", json=body | {"fn_index": self.index(name)}
            )
            return Answer(None, reply.text) if reply.is_error else self._joined()
        reply = self.http.post(f"gradio_api/{route}/{name}", json=body)
        if reply.is_error:
            return Answer(None, reply.json().get("error") or reply.text)
        return Answer(reply.json()["data"], None)

    def _called(self, name: str, event_id: str) -> Answer:
        last = Answer(None, "nothing came")
        with self.http.stream("GET", f"gradio_api/call/{name}/{event_id}") as stream:
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind in ("complete", "error"):
                    data = json.loads(line.removeprefix("data: "))
                    last = Answer(data, None) if kind == "complete" else Answer(None, str(data))
        return last

    def _joined(self) -> Answer:
        with self.http.stream(
            "GET", "gradio_api/queue/data", params={"session_hash": self.session}
        ) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    if message["success"]:
                        return Answer(output["data"], None)
                    return Answer(None, str(output.get("error")))
        return Answer(None, "the stream ended")

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.http.get("config").json()
        return config

    def index(self, name: str) -> int:
        return next(
            dependency["id"]
            for dependency in self.config()["dependencies"]
            if dependency["api_name"] == name
        )

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        reply = self.http.post("gradio_api/upload", files={"files": (name, content)})
        reply.raise_for_status()
        return {
            "path": reply.json()[0],
            "orig_name": name,
            "meta": {"_type": "gradio.FileData"},
        }

    def become_admin(self, password: str) -> None:
        self.http.post("auth/admin", json={"password": password}).raise_for_status()

    def become_annotator(self, name: str) -> None:
        self.http.post("auth/annotator", json={"name": name}).raise_for_status()


@pytest.fixture
def address(fake: FakeApp) -> Iterator[str]:
    with serving(fake) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    client = Client(address)
    with client.http:
        yield client
