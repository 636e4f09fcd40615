"""Cookie routes, pictures, headers, and what happens to hostile uploads."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from memeapp.auth import ADMIN_COOKIE, ANNOTATOR_COOKIE
from memeapp.errors import BadSetting, BadText, Mismatch
from memeapp.types import LabelScore, WordEffect
from memeapp.ui import uploads, web
from memeapp.ui.components import ASSETS
from tests.api.conftest import Answer, Client
from tests.conftest import (
    FAKE_BAND,
    FAKE_REASONS,
    OCR_TEXT,
    PASSWORD,
    FakeApp,
    FakeStatus,
    open_session,
    picture_bytes,
    serving,
)

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}


def bomb() -> bytes:
    """A PNG whose header promises 13,000 × 13,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + (chunk(b"IEND", b""))
    )


def classify(client: Client, picture: object, text: str = "", keep: bool = False) -> Answer:
    return client.send("call", "classify", [picture, text, "", keep])


def test_health_says_ok(client: Client) -> None:
    assert client.http.get("health").json()["status"] == "ok"


@pytest.mark.parametrize("path", ["", "health", "config", "media/x", "assets/none", "auth/admin"])
def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    headers = client.http.get(path).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_routes_of_gradio_that_no_page_uses_are_closed(client: Client) -> None:
    assert client.http.post("gradio_api/process_recording").status_code == 404
    assert client.http.get("gradio_api/deep_link").status_code == 404


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client: Client, fake: FakeApp) -> None:
    invited = {"invite": open_session(fake), "name": "Ada"}
    replies = {
        ADMIN_COOKIE: client.http.post("auth/admin", json={"password": PASSWORD}),
        ANNOTATOR_COOKIE: client.http.post("label/join", json=invited),
    }
    for name, reply in replies.items():
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith(f"{name}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie


def test_cookies_are_secure_and_stay_under_the_prefix_where_the_settings_say_so(
    fake: FakeApp,
) -> None:
    fake.settings = replace(fake.settings, secure_cookies=True, root_path="/memes")
    invited = {"invite": open_session(fake), "name": "Ada"}
    with serving(fake) as address:
        reply = httpx.post(f"{address}label/join", json=invited)
    assert "Secure" in reply.headers["set-cookie"]
    assert "Path=/memes" in reply.headers["set-cookie"]


def test_a_wrong_password_sets_no_cookie_and_says_why(client: Client) -> None:
    reply = client.http.post("auth/admin", json={"password": "wrong"})
    assert reply.status_code == 403
    assert "not the admin password" in reply.json()["detail"]
    assert "set-cookie" not in reply.headers


def test_a_second_attempt_of_one_address_is_refused_while_the_first_is_checked(
    fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()
    check = fake.auth.admin_token

    def slowly(password: str) -> str:
        started.set()
        assert go_on.wait(30)
        return check(password)

    monkeypatch.setattr(fake.auth, "admin_token", slowly)
    with serving(fake) as address:
        codes: list[int] = []

        def log_in() -> None:
            reply = httpx.post(f"{address}auth/admin", json={"password": PASSWORD}, timeout=30)
            codes.append(reply.status_code)

        first = threading.Thread(target=log_in)
        first.start()
        assert started.wait(30)
        second = httpx.post(f"{address}auth/admin", json={"password": PASSWORD})
        go_on.set()
        first.join(30)
    assert second.status_code == 429
    assert "try again" in second.json()["detail"]
    assert codes == [200]


def test_only_json_is_taken(client: Client) -> None:
    reply = client.http.post("auth/admin", data={"password": PASSWORD})
    assert reply.status_code == 422
    assert "set-cookie" not in reply.headers


def test_pictures_are_for_annotators_and_admins(client: Client, fake: FakeApp) -> None:
    picture = f"media/{fake.memes[0].id}"
    assert client.http.get(picture).status_code == 403
    client.become_annotator(open_session(fake))
    reply = client.http.get(picture)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.headers["cache-control"].startswith("private")
    client.http.cookies.clear()
    client.become_admin(PASSWORD)
    assert client.http.get(picture).status_code == 200


@pytest.mark.parametrize("meme", ["0" * 64, "..%2f..%2fsecret.key", "%2e%2e", "x"])
def test_an_unknown_picture_is_not_found(client: Client, fake: FakeApp, meme: str) -> None:
    client.become_annotator(open_session(fake))
    assert client.http.get(f"media/{meme}").status_code == 404


def test_a_picture_is_classified_and_its_text_comes_back(client: Client, fake: FakeApp) -> None:
    answer = classify(client, client.upload("meme.png", picture_bytes()))
    assert answer.data is not None
    result, text, _ = answer.data
    assert "does not read this meme as" in result
    assert "model shipped-1 · encoder embedded-1 · OCR rapidocr · 0.42 s" in result
    assert text == OCR_TEXT
    assert fake.classifier.kept == []


def test_reasons_and_bands_come_with_the_answer(client: Client, fake: FakeApp) -> None:
    fake.classifier.reasons, fake.classifier.band = FAKE_REASONS, FAKE_BAND
    fake.classifier.chances = (0.55, 0.03, 0.67, 0.45, 0.02)
    result = (classify(client, client.upload("a.png", picture_bytes())).data or [""])[0]
    assert 'data-decision="unsure"' in result.partition("</h2>")[0]
    words = " ".join(re.sub("<.*?>", " ", result).replace("&nbsp;", " ").split())
    assert "Unsure: the model cannot tell whether this meme is misogynous" in words
    assert "? unsure" in words
    assert "18 % of memes fall there for misogynous. Of the others it gets 12 % wrong" in words
    assert "The picture is unlike anything the model learned from." in words
    assert "Picture −0.3 Text +2.3 kitchen +1.2 coffee −0.5" in words
    assert "Not misogynous similarity 0.83 the first meme like it" in words
    assert "Misogynous · Stereotype similarity 0.71" in words
    assert "it is unsure from 42 to 60 percent" in result


def test_without_reasons_and_bands_the_answer_does_not_speak_of_them(client: Client) -> None:
    result = classify(client, client.upload("a.png", picture_bytes())).text
    assert "What moved" not in result
    assert "unsure" not in result.casefold()


def test_pictures_of_labelled_memes_are_for_annotators_and_admins(
    client: Client, fake: FakeApp
) -> None:
    fake.classifier.reasons = FAKE_REASONS
    picture = client.upload("a.png", picture_bytes())
    shown = f'src="media/{FAKE_REASONS.neighbours[0].meme_id}"'

    def answer() -> str:
        return str((classify(client, picture).data or [""])[0])

    assert "the first meme like it" in answer()
    assert FAKE_REASONS.neighbours[0].meme_id not in answer()
    client.become_annotator(open_session(fake))
    assert shown in answer()
    client.http.cookies.clear()
    client.become_admin(PASSWORD)
    assert shown in answer()


def test_words_and_texts_in_reasons_are_escaped(client: Client, fake: FakeApp) -> None:
    hostile = "<img/src=x/onerror=alert(1)>"
    fake.classifier.reasons = replace(
        FAKE_REASONS,
        words=(WordEffect(hostile, "misogynous", 1.0),),
        neighbours=(replace(FAKE_REASONS.neighbours[0], text=hostile),),
    )
    result = classify(client, client.upload("a.png", picture_bytes())).text
    assert "<img" not in result
    assert "onerror" in result


def test_clips_zero_shot_answer_is_shown_as_such_and_apart(client: Client, fake: FakeApp) -> None:
    picture = client.upload("a.png", picture_bytes())
    assert "zero-shot" not in classify(client, picture).text
    fake.classifier.zero_shot = tuple(
        LabelScore(label.name, 0.1 * number, 0.5, False)
        for number, label in enumerate(fake.schema.labels, 1)
    )
    result = (classify(client, picture).data or [""])[0]
    answer, _, section = result.partition("<section data-zero-shot>")
    words = " ".join(re.sub("<.*?>", " ", section).split())
    assert words.startswith("CLIP zero-shot, uncalibrated, no labels used")
    assert "Misogynous 10 % Shaming 20 % Stereotype 30 % Objectification 40 % Violence" in words
    assert "zero-shot" not in answer


def test_a_picture_is_kept_only_with_consent(client: Client, fake: FakeApp) -> None:
    classify(client, client.upload("meme.png", picture_bytes()), "a text", True)
    assert [text for _, text in fake.classifier.kept] == ["a text"]


def test_fall_backs_are_told_on_the_page(client: Client, fake: FakeApp) -> None:
    fake.classifier.now = FakeStatus(notices=("The embedded encoder answers instead.",))
    assert "answers instead" in client.send("call", "classify_status", []).text
    assert "answers instead" in classify(client, client.upload("a.png", picture_bytes())).text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.png", b"this is no picture", "text.png"),
        ("empty.png", b"", "empty"),
        ("cut.jpg", picture_bytes(format="JPEG", side=400)[:900], "cut.jpg"),
        ("bomb.png", bomb(), "megapixel"),
    ],
)
def test_a_bad_picture_gives_a_clear_message(
    client: Client, name: str, content: bytes, words: str
) -> None:
    answer = classify(client, client.upload(name, content))
    assert answer.data is not None
    assert "Sorry." in answer.data[0]
    assert words in answer.data[0]
    assert answer.data[0].count(name) == 1
    assert "Traceback" not in answer.text


def test_a_kind_above_its_mark_does_not_apply_without_its_parent(
    client: Client, fake: FakeApp
) -> None:
    fake.classifier.chances = (0.3, 0.03, 0.67, 0.06, 0.02)
    result = (classify(client, client.upload("a.png", picture_bytes())).data or [""])[0]
    kind = result.partition('<li data-label="stereotype"')[2].partition("</li>")[0]
    assert 'data-decision="no"' in kind
    assert "does not apply" in kind
    assert "67 percent, the model says yes from 40 percent if it reads the meme as" in kind
    legend = re.sub("<.*?>", "", result)
    assert "says yes, to a kind only if it reads the meme as misogynous at all." in legend


def test_no_picture_at_all_gives_a_clear_message(client: Client) -> None:
    assert "Choose a picture first." in classify(client, None).text


def test_a_text_that_is_too_long_gives_the_message_of_the_service(
    client: Client, fake: FakeApp
) -> None:
    fake.classifier.error = BadText("The text has 5000 characters; 2000 are allowed.")
    answer = classify(client, client.upload("a.png", picture_bytes()), "x" * 5000)
    assert "2000 are allowed" in answer.text


def test_an_unexpected_error_is_logged_and_not_shown(
    client: Client, fake: FakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    fake.classifier.error = RuntimeError("a secret detail")
    answer = classify(client, client.upload("a.png", picture_bytes()))
    assert "Something went wrong on the server" in answer.text
    assert "a secret detail" not in answer.text
    assert "a secret detail" in caplog.text


def test_file_names_are_escaped(client: Client) -> None:
    picture = client.upload("a.png", b"no picture") | {"orig_name": "<img src=x onerror=alert(1)>"}
    answer = classify(client, picture)
    assert answer.data is not None
    assert "<img" not in answer.data[0]


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """A picture of the server that nobody uploaded."""
    file = tmp_path / "private.png"
    file.write_bytes(picture_bytes("black"))
    yield file


@pytest.mark.parametrize("route", Client.ROUTES)
def test_a_client_cannot_name_a_file_of_the_server(
    client: Client, secret: Path, route: str
) -> None:
    picture = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    answer = client.send(route, "classify_check", [picture])
    assert answer.data is None
    assert not list((secret.parent / "uploads").rglob("private.png"))


@pytest.mark.parametrize("meta", [{}, {"meta": {}}, {"meta": {"_type": "something else"}}])
@pytest.mark.parametrize("route", Client.ROUTES)
def test_a_file_of_the_server_stays_unread_whatever_the_payload_says_it_is(
    client: Client, secret: Path, route: str, meta: dict[str, Any]
) -> None:
    answer = client.send(route, "classify_check", [{"path": str(secret), **meta}])
    assert answer.data is None or "choose it again" in answer.text
    assert "choose it again" in classify(client, {"path": str(secret), **meta}).text


def test_a_file_that_is_no_regular_one_is_not_opened(client: Client) -> None:
    assert "choose it again" in classify(client, {"path": "/dev/zero"}).text


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=http://192.0.2.1/a",
        "gradio_api/file=HTTP://192.0.2.1/a",
        "gradio_api/file/http://192.0.2.1/a",
        "gradio_api/proxy=http://192.0.2.1/a",
        "monitoring/summary",
    ],
)
def test_closed_routes_are_not_there(client: Client, path: str) -> None:
    answer = client.http.get(path)
    assert (answer.status_code, answer.text) == (404, "There is nothing here.")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9", "https://elsewhere.example", "null"])
def test_pages_of_other_origins_cannot_send_anything(client: Client, origin: str) -> None:
    answer = client.http.post("auth/leave", json={"role": "admin"}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_our_own_pages_can_send(client: Client) -> None:
    own = str(client.http.base_url).rstrip("/")
    answer = client.http.post("auth/leave", json={"role": "admin"}, headers={"Origin": own})
    assert answer.status_code == 200


def test_a_request_of_more_than_a_megabyte_is_refused_unless_it_is_an_upload(
    client: Client,
) -> None:
    big = b"x" * (2**20 + 1)
    assert client.http.post("label/join", content=big).status_code == 413
    assert client.http.post("label/join", content=iter([big])).status_code == 411
    upload = client.http.post("gradio_api/upload", files={"files": ("a.bin", big)})
    assert upload.status_code == 200


def test_a_client_cannot_make_the_server_fetch_an_address(client: Client, address: str) -> None:
    picture = {"path": f"{address}health", "meta": {"_type": "gradio.FileData"}}
    answer = classify(client, picture)
    assert answer.data is None


def test_uploads_lie_in_the_data_folder_and_nothing_else_does(
    client: Client, tmp_path: Path
) -> None:
    path = Path(client.upload("a.png", picture_bytes())["path"])
    assert [file for file in (tmp_path / "uploads").rglob("*") if file.is_file()] == [path]


def test_an_example_picture_can_be_asked_about(client: Client) -> None:
    picture = {"path": str(ASSETS / "examples" / "coffee.jpg"), "orig_name": "coffee.jpg"}
    picture["meta"] = {"_type": "gradio.FileData"}  # type: ignore[assignment]
    assert "does not read this meme as" in classify(client, picture).text


def test_asking_again_with_the_same_picture_works_until_the_file_is_swept(
    client: Client, tmp_path: Path
) -> None:
    picture = client.upload("a.png", picture_bytes())
    assert "does not read this meme as" in classify(client, picture).text
    uploads.sweep(tmp_path / "uploads", older_than=3600)
    assert "text as typed" in classify(client, picture, "a corrected text").text
    uploads.sweep(tmp_path / "uploads", older_than=0)
    assert not Path(picture["path"]).exists()
    assert "choose it again" in classify(client, picture).text


def test_uploads_are_gone_after_a_stop_and_after_a_start_and_links_are_not_followed(
    fake: FakeApp, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").touch()
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "left.png").touch()  # of an app that was killed
    (folder / "link").symlink_to(outside)
    uploads.sweep(folder, older_than=-1)
    assert (outside / "precious.txt").exists()
    (folder / "left.png").touch()
    with serving(fake) as address:
        httpx.get(f"{address}health").raise_for_status()
        assert not (folder / "left.png").exists()
        client = Client(address)
        with client.http:
            path = Path(client.upload("a.png", picture_bytes())["path"])
        assert path.exists()
    assert not path.exists()
    assert (outside / "precious.txt").exists()


def test_a_folder_of_uploads_that_is_a_link_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").touch()
    (tmp_path / "uploads").symlink_to(tmp_path)
    with pytest.raises(BadSetting, match="is a link"):
        uploads.empty(tmp_path / "uploads")
    assert (tmp_path / "precious.txt").exists()


def test_the_page_says_how_long_an_upload_stays(client: Client) -> None:
    assert "deleted within 15 minutes" in client.send("call", "classify_status", []).text


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The sockets `serve` listens on, instead of a server that runs until it is stopped."""
    served: list[socket.socket] = []
    monkeypatch.setattr(web, "build_app", lambda app: FastAPI())
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: served.extend(sockets))
    return served


def test_the_app_starts_when_no_version_can_answer(
    fake: FakeApp, served: list[socket.socket]
) -> None:
    fake.classifier.error = Mismatch("Version shipped-1 knows other labels. Retrain.")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fake.settings = replace(fake.settings, port=port)
    told: list[str] = []
    web.serve(fake, announce=told.append)  # type: ignore[arg-type]
    assert told[0] == (
        "Nothing can be classified yet. Version shipped-1 knows other labels. Retrain."
    )
    assert f"http://127.0.0.1:{port}" in told[-1]
    assert len(served) == 1


def test_the_classify_page_says_why_nothing_can_be_classified(
    client: Client, fake: FakeApp
) -> None:
    fake.classifier.error = Mismatch("Version shipped-1 knows other labels. Retrain.")
    assert "knows other labels" in client.send("call", "classify_status", []).text


def test_the_dashboard_stands_without_any_version(client: Client, fake: FakeApp) -> None:
    shutil.rmtree(fake.settings.data / "shipped")
    shutil.rmtree(fake.settings.data / "models")
    client.become_admin(PASSWORD)
    assert "Retrain" in client.send("join", "admin_load", []).text
    assert client.http.get("versions").json() == {"versions": [], "bytes": 0}


def test_a_taken_port_is_told_with_the_setting_that_changes_it(
    fake: FakeApp, served: list[socket.socket]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fake.settings = replace(fake.settings, port=port)
        with pytest.raises(BadSetting, match=f"port {port}: .*in use.* MEMEAPP_PORT") as raised:
            web.serve(fake, announce=pytest.fail)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert served == []


@pytest.mark.parametrize(
    "changes", [{"port": 70_000}, {"host": "192.0.2.1"}, {"host": "::", "port": 70_000}]
)
def test_an_impossible_address_is_told(fake: FakeApp, changes: dict[str, object]) -> None:
    fake.settings = replace(fake.settings, **changes)  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="Cannot listen on"):
        web.serve(fake, announce=pytest.fail)  # type: ignore[arg-type]
