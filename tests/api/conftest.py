"""Browsers without a page: every way into a gradio handler, and the routes of labelling."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from memeapp.labels import MAMI
from tests.conftest import PASSWORD, FakeApp, fake_app, join, open_session, serving

FORGED = "ImFkbWluIg.aXQga.c2lnbmF0dXJl"


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
        number: int = next(
            dependency["id"]
            for dependency in self.config()["dependencies"]
            if dependency["api_name"] == name
        )
        return number

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

    def become_annotator(self, invite: str, name: str = "Ada") -> None:
        join(self.http, invite, name)


@pytest.fixture
def address(fake: FakeApp) -> Iterator[str]:
    with serving(fake) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    client = Client(address)
    with client.http:
        yield client


class Tab:
    """One tab of the Annotate page: what its script sends."""

    keys = itertools.count()

    def __init__(self, http: httpx.Client, name: str = "tab-00001") -> None:
        self.http = http
        self.name = name

    def post(self, route: str, **body: Any) -> httpx.Response:
        return self.http.post(f"label/{route}", json={"tab": self.name, **body})

    def told(self, route: str, **body: Any) -> dict[str, Any]:
        reply = self.post(route, **body)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def open(self) -> dict[str, Any]:
        return self.told("open")

    def texts(self) -> list[str]:
        """The texts of the memes that are kept for this tab now."""
        return [card["text"] for card in self.told("next")["cards"]]

    def vote(self, card: dict[str, Any], *yes: str, **changes: Any) -> dict[str, Any]:
        return self.told("vote", **judgement(card, *yes, **changes))

    def undo(self) -> dict[str, Any]:
        return self.told("undo", key=f"undo with the key {next(self.keys)}")

    def history(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self.http.get("label/history").json()
        return answer

    def progress(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get("label/progress").json()
        return answer


def judgement(card: dict[str, Any], *yes: str, **changes: Any) -> dict[str, Any]:
    """What the card sends when these labels are ticked."""
    return {
        "meme": card["meme"],
        "key": card["key"],
        "labels": {label: label in yes for label in MAMI.names},
        "seconds": 3.5,
        **changes,
    }


class Hall:
    """One server for many sessions, each with people of its own."""

    def __init__(self, app: FakeApp, address: str) -> None:
        self.app = app
        self.address = address
        self.clients: list[httpx.Client] = []
        self._numbers = itertools.count(1)

    def room(self, **plan: Any) -> str:
        """A new session; gives an invite."""
        return open_session(self.app, f"Room {next(self._numbers)}", **plan)

    def session_id(self, invite: str) -> int:
        return self.app.store.invite(invite).session_id

    def visitor(self) -> httpx.Client:
        self.clients.append(httpx.Client(base_url=self.address, timeout=30))
        return self.clients[-1]

    def person(self, invite: str, name: str = "Ada") -> Tab:
        http = self.visitor()
        join(http, invite, name)
        return Tab(http)

    def id_of(self, person: Tab) -> str:
        return self.app.auth.identity(dict(person.http.cookies)).annotator_id or ""

    def admin(self) -> httpx.Client:
        http = self.visitor()
        http.cookies.set("memeapp_admin", self.app.auth.admin_token(PASSWORD))
        return http


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    app = fake_app(tmp_path_factory.mktemp("hall"), memes=5)
    with serving(app) as address:
        hall = Hall(app, address)
        yield hall
        for http in hall.clients:
            http.close()
    app.store.close()
