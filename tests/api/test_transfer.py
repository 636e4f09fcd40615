"""Memes and votes in and out over HTTP: in pieces, by the admin alone."""

from __future__ import annotations

import io
import itertools
import time
import zipfile
from typing import Any

import httpx
import pytest

from memeapp.auth import ADMIN_COOKIE
from memeapp.service.incoming import CHUNK
from memeapp.ui.transfer_routes import transfer_routes
from tests.api.conftest import FORGED, Hall
from tests.conftest import draw_picture

MARKS = itertools.count()
ID = "0" * 32

ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "transfer": ("GET", {}),
    "transfer/uploads": ("POST", {"json": {"name": "a.zip", "size": 3, "mark": "0" * 16}}),
    "transfer/uploads/{upload_id}": ("PUT", {"content": b"abc", "params": {"offset": 0}}),
    "transfer/uploads/{upload_id}/finish": ("POST", {"json": {}}),
    "transfer/uploads/{upload_id}/remove": ("POST", {"json": {}}),
    "transfer/imports/{job_id}/cancel": ("POST", {"json": {}}),
    "transfer/exports": ("POST", {"json": {"format": "csv"}}),
    "transfer/exports/{job_id}/cancel": ("POST", {"json": {}}),
    "transfer/exports/{job_id}/file": ("GET", {}),
}


@pytest.fixture
def admin(hall: Hall) -> httpx.Client:
    return hall.admin()


def packed(*numbers: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in numbers:
            file.writestr(f"{number}.png", draw_picture(number))
    return buffer.getvalue()


def begin(admin: httpx.Client, size: int, name: str = "set.zip", mark: str = "") -> dict[str, Any]:
    said = {"name": name, "size": size, "mark": mark or f"{next(MARKS):016x}"}
    reply = admin.post("transfer/uploads", json=said)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def put(admin: httpx.Client, id: str, offset: int, piece: bytes) -> httpx.Response:
    return admin.put(f"transfer/uploads/{id}", params={"offset": offset}, content=piece)


def ended(admin: httpx.Client, kind: str, id: int) -> dict[str, Any]:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        job: dict[str, Any] = admin.get("transfer").json()[kind]
        if job["id"] == id and not job["active"]:
            return job
        time.sleep(0.02)
    raise AssertionError(f"the {kind} did not end: {job}")


def test_the_table_of_this_file_names_every_route(hall: Hall) -> None:
    routes = transfer_routes(hall.app).routes  # type: ignore[arg-type]
    assert sorted(route.path.lstrip("/") for route in routes) == sorted(ROUTES)  # type: ignore[attr-defined]


@pytest.mark.parametrize("who", ["visitor", "annotator", "forged"])
def test_nobody_but_the_admin_gets_through_by_any_route(
    hall: Hall, admin: httpx.Client, who: str
) -> None:
    upload = begin(admin, 3)
    http = hall.person(hall.room()).http if who == "annotator" else hall.visitor()
    if who == "forged":
        http.cookies.set(ADMIN_COOKIE, FORGED)
    before = admin.get("transfer").json()
    for route, (method, sent) in ROUTES.items():
        address = route.format(upload_id=upload["id"], job_id=1)
        reply = http.request(method, address, **sent)
        assert (reply.status_code, reply.json()["detail"]) == (403, "Log in as admin first."), route
    assert admin.get("transfer").json() == before


def test_a_zip_arrives_in_pieces_and_is_imported(hall: Hall, admin: httpx.Client) -> None:
    content = packed(201, 202)
    upload = begin(admin, len(content))
    assert (upload["offset"], upload["piece"]) == (0, CHUNK)
    half = len(content) // 2
    assert put(admin, upload["id"], 0, content[:half]).json()["offset"] == half
    assert put(admin, upload["id"], half, content[half:]).json()["offset"] == len(content)
    job = admin.post(f"transfer/uploads/{upload['id']}/finish").json()
    assert (job["kind"], job["options"]["name"]) == ("import", "set.zip")
    assert "pid" not in job
    done = ended(admin, "import", job["id"])
    assert (done["state"], done["result"]["added"]) == ("finished", 2), done["message"]
    assert upload["id"] not in [one["id"] for one in admin.get("transfer").json()["uploads"]]


def test_a_piece_that_does_not_belong_is_told_where_to_go_on(admin: httpx.Client) -> None:
    upload = begin(admin, 10)
    put(admin, upload["id"], 0, b"01234").raise_for_status()
    for offset in (0, 3, 6, 10, 2**40):
        reply = put(admin, upload["id"], offset, b"x")
        assert (reply.status_code, reply.json()["offset"]) == (409, 5)
    assert put(admin, upload["id"], 5, b"567890").status_code == 400
    assert put(admin, upload["id"], 5, b"").status_code == 400
    assert put(admin, upload["id"], -1, b"x").status_code == 422
    again = put(admin, upload["id"], 5, b"56789")
    assert (again.status_code, again.json()["offset"]) == (200, 10)


def test_an_upload_goes_on_after_a_refresh_and_in_another_browser(
    hall: Hall, admin: httpx.Client
) -> None:
    content = packed(203)
    upload = begin(admin, len(content), mark="ab" * 8)
    put(admin, upload["id"], 0, content[:100]).raise_for_status()
    other = hall.admin()
    again = begin(other, len(content), mark="ab" * 8)
    assert (again["id"], again["offset"]) == (upload["id"], 100)
    assert begin(other, len(content), mark="cd" * 8)["offset"] == 0


def test_what_is_not_complete_is_not_imported(admin: httpx.Client) -> None:
    upload = begin(admin, 10)
    put(admin, upload["id"], 0, b"01234").raise_for_status()
    before = admin.get("transfer").json()["import"]
    reply = admin.post(f"transfer/uploads/{upload['id']}/finish")
    assert (reply.status_code, reply.json()["offset"]) == (409, 5)
    assert "5 of 10 bytes" in reply.json()["detail"]
    assert admin.get("transfer").json()["import"] == before


def test_what_is_too_large_is_refused(hall: Hall, admin: httpx.Client) -> None:
    said = {"name": "a.zip", "size": 20_001 * 2**20, "mark": "0" * 16}
    reply = admin.post("transfer/uploads", json=said)
    assert reply.status_code == 400
    assert "MEMEAPP_MAX_IMPORT_MB" in reply.json()["detail"]
    upload = begin(admin, 2 * CHUNK)
    assert put(admin, upload["id"], 0, bytes(CHUNK + 1)).status_code == 413
    assert put(admin, upload["id"], 0, bytes(CHUNK)).json()["offset"] == CHUNK
    admin.post(f"transfer/uploads/{upload['id']}/remove").raise_for_status()
    assert admin.post(f"transfer/uploads/{upload['id']}/finish").status_code == 404


@pytest.mark.parametrize(
    "name", ["../../../outside.zip", "/etc/outside.zip", "..\\outside.zip", "a\0outside.zip"]
)
def test_a_path_in_the_name_of_a_file_leads_nowhere(
    hall: Hall, admin: httpx.Client, name: str
) -> None:
    data = hall.app.settings.data
    before = set(data.parent.rglob("*outside*"))
    upload = begin(admin, 3, name)
    put(admin, upload["id"], 0, b"abc").raise_for_status()
    assert set(data.parent.rglob("*outside*")) == before
    there = [path.name for path in (data / "incoming").iterdir() if path.read_bytes() == b"abc"]
    assert f"{upload['id']}.zip" in there
    job = ended(admin, "import", admin.post(f"transfer/uploads/{upload['id']}/finish").json()["id"])
    assert job["state"] == "failed" and "is no zip or is damaged" in job["message"]


@pytest.mark.parametrize("id", ["..%2F..%2Fmemeapp", "x" * 32, "0" * 31, "%2e%2e"])
def test_an_id_that_is_none_of_ours_is_refused(admin: httpx.Client, id: str) -> None:
    for route in (f"transfer/uploads/{id}/finish", f"transfer/uploads/{id}/remove"):
        assert admin.post(route).status_code in (404, 405, 422)
    assert put(admin, id, 0, b"x").status_code in (404, 405, 422)


def test_a_second_import_waits_for_the_first_which_can_be_cancelled(
    hall: Hall, admin: httpx.Client
) -> None:
    contents = [packed(205), packed(206)]
    uploads = [begin(admin, len(content)) for content in contents]
    for upload, content in zip(uploads, contents, strict=True):
        put(admin, upload["id"], 0, content).raise_for_status()
    hall.app.imports.gate.clear()
    try:
        first = admin.post(f"transfer/uploads/{uploads[0]['id']}/finish").json()
        second = admin.post(f"transfer/uploads/{uploads[1]['id']}/finish")
        assert second.status_code == 409
        assert "An import is at work" in second.json()["detail"]
        taken = admin.post(f"transfer/uploads/{uploads[0]['id']}/remove")
        assert taken.status_code == 409
        admin.post(f"transfer/imports/{first['id']}/cancel").raise_for_status()
    finally:
        hall.app.imports.gate.set()
    assert ended(admin, "import", first["id"])["state"] == "cancelled"
    assert admin.post(f"transfer/imports/{first['id']}/cancel").status_code == 404


def test_an_export_is_made_and_downloaded(hall: Hall, admin: httpx.Client) -> None:
    invite = hall.room()
    ada = hall.person(invite, "Ada Secret")
    ada.vote(ada.open()["cards"][0], "misogynous")
    session = hall.session_id(invite)
    texts = []
    for names in (False, True):
        body = {"format": "csv", "session": session, "names": names}
        job = admin.post("transfer/exports", json=body).json()
        done = ended(admin, "export", job["id"])
        memes = len(hall.app.store.session_meme_ids(session))
        assert (done["state"], done["result"]["memes"]) == ("finished", memes), done["message"]
        assert job["id"] in [one["id"] for one in admin.get("transfer").json()["ready"]]
        reply = admin.get(f"transfer/exports/{job['id']}/file")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/zip"
        wanted = f'attachment; filename="{done["result"]["file"]}"'
        assert reply.headers["content-disposition"] == wanted
        with zipfile.ZipFile(io.BytesIO(reply.content)) as file:
            (votes,) = (name for name in file.namelist() if name.endswith("votes.csv"))
            texts.append(file.read(votes).decode())
    assert "Ada Secret" not in texts[0] and "person-" in texts[0]
    assert "Ada Secret" in texts[1]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"format": "xml"}, 422), ({"session": 10_000}, 404), ({"session": -1}, 422)],
)
def test_an_export_that_cannot_be_is_refused(
    admin: httpx.Client, body: dict[str, Any], status: int
) -> None:
    assert admin.post("transfer/exports", json=body).status_code == status
    assert admin.get("transfer/exports/10000/file").status_code == 404
