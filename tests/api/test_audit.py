"""Whatever an admin changes leaves a line, which only an admin sees."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from memeapp.auth import ADMIN_COOKIE
from memeapp.errors import NotSaved
from memeapp.labels import MAMI
from memeapp.registry import Registry
from memeapp.service import bundle
from memeapp.settings import Settings
from memeapp.store.audit import ADMIN, Deed
from memeapp.ui.web import _add_routes
from tests.api.conftest import FORGED, Client, Hall
from tests.api.test_transfer import ended
from tests.conftest import PASSWORD, FakeApp, fake_app, serving

NO = dict.fromkeys(MAMI.names, False)
TRAINED, SHIPPED = "v0001-20260102", "shipped-1"

OTHERS = ("POST /auth/leave", "POST /label/", "POST /api/")
"""Routes of people and of programs, which are noted under their own names."""
CHANGE_NOTHING = {
    "POST /sessions/preview",
    "POST /retraining/dry-run",
    "PUT /transfer/uploads/{upload_id}",  # a piece of what was begun, which was noted
}


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    """One of its own: these tests look at everything that was ever done."""
    app = fake_app(tmp_path, memes=3)
    with serving(app) as address:
        hall = Hall(app, address)
        yield hall
        for http in hall.clients:
            http.close()
    app.store.close()


class Story:
    """What an admin does, route by route, and what was noted of it."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.http = hall.admin()
        self.told: list[str] = []
        """The routes that were used."""

    def does(
        self, route: str, *expected: tuple[str, str], json: object = None, **sent: Any
    ) -> dict[str, Any]:
        """Use a route, and see that it left these lines, each a word and what it is about."""
        places = {name: sent.pop(name) for name in list(sent) if "{" + name + "}" in route}
        method, path = route.split()
        body = sent or {"json": json or {}}
        last = max((deed.id for deed in self.deeds()), default=0)
        reply = self.http.request(method, path.lstrip("/").format(**places), **body)
        assert reply.status_code == 200, (route, reply.text)
        new = [deed for deed in self.deeds() if deed.id > last]
        assert [(deed.what, deed.about) for deed in new] == list(expected), route
        assert {deed.who for deed in new} <= {ADMIN}
        self.told.append(route)
        answer: dict[str, Any] = reply.json()
        return answer

    def deeds(self) -> list[Deed]:
        return list(self.hall.app.store.whole_audit())


def tell_everything(story: Story) -> None:
    hall, does = story.hall, story.does
    does("POST /auth/admin", ("admin.login", ""), json={"password": PASSWORD})
    made = does(
        "POST /sessions",
        ("session.open", "Room"),
        ("invite.make", "Room"),
        json={"name": "Room", "guidelines": "secret guidelines"},
    )
    session, invite = made["id"], made["invites"][0]["token"]
    ada = hall.person(invite)
    person = hall.id_of(ada)
    room = {"session_id": session}
    does("POST /sessions/{session_id}/invites", ("invite.make", "Room"), **room)
    does("POST /sessions/invites/{token}/revoke", ("invite.revoke", "Room"), token=invite)
    does("POST /sessions/{session_id}/gold", ("session.gold", "Room"), json={"memes": 1}, **room)
    meme = hall.app.memes[0].id
    decided = {"meme": meme, "labels": NO, "key": "0" * 16, "note": "a secret note"}
    does("POST /sessions/{session_id}/decide", ("meme.decide", meme), json=decided, **room)
    one = {"annotator_id": person}
    does("POST /label/people/{annotator_id}/link", ("person.link", person), **one)
    warning = {"text": "a secret warning"}
    does("POST /sessions/people/{annotator_id}/warn", ("person.warn", person), json=warning, **one)
    for route, words in (
        ("POST /sessions/people/{annotator_id}/count", ("person.leave_out", "person.count")),
        ("POST /sessions/people/{annotator_id}/admit", ("person.take_out", "person.admit")),
    ):
        for on, word in enumerate(words):
            does(route, (word, person), json={"on": bool(on)}, **one)
    plan = {"name": "Hall"}
    does("POST /sessions/{session_id}/change", ("session.change", "Room"), json=plan, **room)
    for word, on in (("session.close", False), ("session.reopen", True)):
        does("POST /sessions/{session_id}/open", (word, "Hall"), json={"on": on}, **room)

    hall.app.imports.gate.clear()  # they wait until they are cancelled
    hall.app.exports.gate.clear()
    announced = {"name": "a.csv", "size": 3, "mark": "0" * 16}
    begun = does("POST /transfer/uploads", ("upload.begin", "a.csv"), json=announced)
    upload = {"upload_id": begun["id"]}
    story.http.put(f"transfer/uploads/{upload['upload_id']}?offset=0", content=b"abc")
    started = does("POST /transfer/uploads/{upload_id}/finish", ("import.start", "a.csv"), **upload)
    job = f"job {started['id']}"
    does("POST /transfer/imports/{job_id}/cancel", ("import.cancel", job), job_id=started["id"])
    other = does(
        "POST /transfer/uploads", ("upload.begin", "b.csv"), json={**announced, "name": "b.csv"}
    )
    does(
        "POST /transfer/uploads/{upload_id}/remove",
        ("upload.remove", "b.csv"),
        upload_id=other["id"],
    )
    started = does("POST /transfer/exports", ("export.start", "csv"), json={"format": "csv"})
    job = f"job {started['id']}"
    does("POST /transfer/exports/{job_id}/cancel", ("export.cancel", job), job_id=started["id"])
    hall.app.imports.gate.set()
    hall.app.exports.gate.set()

    use = "POST /versions/{name}/promote"
    does(use, ("version.promote", TRAINED), name=TRAINED)
    does(use, ("version.rollback", SHIPPED), name=SHIPPED)
    does("POST /versions/{name}/delete", ("version.delete", TRAINED), name=TRAINED)
    models = Settings().models
    bundle.pack(Registry(models, models / "none").shipped(), packed := io.BytesIO())
    last = story.deeds()[-1].id
    reply = story.http.post("versions/upload", content=packed.getvalue())
    assert [(deed.what, deed.about) for deed in story.deeds() if deed.id > last] == [
        ("version.upload", reply.json()["name"])
    ]
    story.told.append("POST /versions/upload")

    does("POST /retraining", ("triggers.change", ""), json={"after_labels": 500})
    token = does("POST /retraining/tokens", ("token.make", "ci"), json={"name": "ci"})
    does(
        "POST /retraining/tokens/{token_id}/revoke",
        ("token.revoke", f"token {token['id']}"),
        token_id=token["id"],
    )
    written = "".join(map(str, story.deeds()))
    for secret in ("secret", PASSWORD, invite, token["key"], "Meme number", "Ada"):
        assert secret not in written


def changing(app: FakeApp) -> set[str]:
    """Every route of the app, gradio's apart, that an admin may change something by."""
    page = FastAPI()
    _add_routes(page, app)  # type: ignore[arg-type]
    found = {
        f"{method} {route.path.rstrip('/')}"
        for route in flat(page.routes)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}
    }
    own = {"POST /label/people/{annotator_id}/link"}
    return {one for one in found if not one.startswith(OTHERS)} - CHANGE_NOTHING | own


def flat(routes: list[Any]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from flat(included.routes)


def test_whatever_an_admin_changes_by_any_route_leaves_a_line(hall: Hall) -> None:
    story = Story(hall)
    tell_everything(story)
    routes = changing(hall.app)
    assert len(routes) > 20
    assert routes - set(story.told) == set()


def test_what_an_admin_does_on_the_dashboard_leaves_a_line(client: Client, fake: FakeApp) -> None:
    client.become_admin(PASSWORD)
    client.send("run", "admin_retrain", [], {"encoder": "embedded"})
    client.send("run", "admin_cancel", [])
    deeds = [(deed.who, deed.what, deed.about) for deed in fake.store.whole_audit()]
    assert deeds[1:] == [(ADMIN, "train.start", "embedded"), (ADMIN, "train.cancel", "job 1")]


def test_an_export_that_is_taken_out_leaves_a_line(hall: Hall) -> None:
    admin = hall.admin()
    job = admin.post("transfer/exports", json={"format": "csv"}).json()["id"]
    ended(admin, "export", job)
    assert admin.get(f"transfer/exports/{job}/file").status_code == 200
    (deed,) = hall.app.store.audit(1)
    assert (deed.who, deed.what, deed.about) == (ADMIN, "export.download", f"job {job}")


def test_what_was_noted_and_then_failed_leaves_a_second_line(hall: Hall) -> None:
    admin = hall.admin()
    assert admin.post("sessions", json={"name": ""}).status_code == 400
    assert admin.get("transfer/exports/99/file").status_code == 404
    assert [(deed.what, deed.about) for deed in hall.app.store.whole_audit()] == [
        ("session.open", ""),
        ("session.open.failed", ""),
        ("export.download", "job 99"),
        ("export.download.failed", "job 99"),
    ]


def test_what_cannot_be_noted_is_not_done(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = hall.admin()
    secret = hall.app.tokens.make("nightly")[1]
    job = hall.app.jobs.job

    def full(*_: object, **__: object) -> None:
        raise NotSaved("The disk is full.")

    monkeypatch.setattr(hall.app.store, "note", full)
    assert admin.post("sessions", json={"name": "Room"}).status_code == 503
    assert admin.post("retraining/tokens", json={"name": "ci"}).status_code == 503
    header = {"Authorization": f"Bearer {secret}"}
    assert hall.visitor().post("api/v1/retrain", json={}, headers=header).status_code == 503
    assert admin.get("sessions").json() == []
    assert [token.name for token in hall.app.tokens.all()] == ["nightly"]
    assert hall.app.jobs.job == job


def test_what_is_refused_at_once_leaves_no_line(hall: Hall) -> None:
    admin = hall.admin()
    assert admin.post("sessions/99/open", json={"on": False}).status_code == 404
    assert admin.post("versions/v9999/promote").status_code == 404
    assert hall.visitor().post(f"versions/{TRAINED}/promote").status_code == 403
    assert hall.visitor().post("auth/admin", json={"password": "wrong"}).status_code == 403
    assert hall.app.store.audit(9) == []


@pytest.mark.parametrize("who", ["visitor", "annotator", "forged"])
def test_the_audit_is_the_admins_alone(hall: Hall, who: str) -> None:
    http = hall.person(hall.room()).http if who == "annotator" else hall.visitor()
    if who == "forged":
        http.cookies.set(ADMIN_COOKIE, FORGED)
    for path in ("audit", "audit.csv"):
        reply = http.get(path)
        assert (reply.status_code, reply.json()) == (403, {"detail": "Log in as admin first."})


def test_the_audit_is_read_page_by_page_and_as_a_table(hall: Hall) -> None:
    for number in range(5):
        hall.app.store.note(ADMIN, "session.close", f"={number}")
    http = hall.admin()
    first = http.get("audit", params={"limit": 3}).json()
    assert [deed["about"] for deed in first["deeds"]] == ["=4", "=3", "=2"]
    assert first["more"] is True
    rest = http.get("audit", params={"limit": 3, "before": first["deeds"][-1]["id"]}).json()
    assert ([deed["about"] for deed in rest["deeds"]], rest["more"]) == (["=1", "=0"], False)
    table = http.get("audit.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(table.text))
    assert header[:5] == ["id", "at", "who", "what", "about"]
    assert [row[4] for row in rows] == [f"'={number}" for number in range(5)]
    for wrong in ({"limit": 0}, {"limit": 501}, {"before": -1}, {"limit": "many"}):
        assert http.get("audit", params=wrong).status_code == 422


def test_a_full_disk_keeps_nobody_from_logging_in(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise NotSaved("The disk is full.")

    monkeypatch.setattr(hall.app.store, "note", full)
    assert hall.visitor().post("auth/admin", json={"password": PASSWORD}).status_code == 200
