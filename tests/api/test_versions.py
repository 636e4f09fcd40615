"""Versions over HTTP: listed, used, deleted, out and in, by the admin alone; and under load."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from memeapp.auth import ADMIN_COOKIE
from memeapp.registry import Registry
from memeapp.service import bundle
from memeapp.settings import Settings
from memeapp.ui import gate
from memeapp.ui.version_routes import version_routes
from memeapp.wiring import App, build
from tests.api.conftest import FORGED, Client, Hall
from tests.conftest import PASSWORD, FakeApp, picture_bytes, serving

TRAINED, SHIPPED = "v0001-20260102", "shipped-1"
ROUTES = {
    "versions": "GET",
    "versions/upload": "POST",
    "versions/{name}/promote": "POST",
    "versions/{name}/delete": "POST",
    "versions/{name}/bundle.zip": "GET",
}


@pytest.fixture
def admin(client: Client) -> httpx.Client:
    client.become_admin(PASSWORD)
    return client.http


@pytest.fixture(scope="module")
def packed() -> bytes:
    """The bundle of the version that came with the program."""
    models = Settings().models
    bundle.pack(Registry(models, models / "none").shipped(), file := io.BytesIO())
    return file.getvalue()


def names(admin: httpx.Client) -> list[str]:
    return [version["name"] for version in admin.get("versions").json()["versions"]]


def deeds(admin: httpx.Client) -> list[tuple[str, str, str]]:
    found = admin.get("audit").json()["deeds"]
    return [(deed["what"], deed["about"], deed["before"]) for deed in found]


def test_the_table_of_this_file_names_every_route_of_versions(fake: FakeApp) -> None:
    routes = version_routes(fake).routes  # type: ignore[arg-type]
    paths = {str(route.path).lstrip("/") for route in routes}  # type: ignore[attr-defined]
    assert paths == set(ROUTES)


@pytest.mark.parametrize("who", ["visitor", "annotator", "forged"])
def test_versions_are_the_admins_alone(hall: Hall, who: str) -> None:
    http = hall.person(hall.room()).http if who == "annotator" else hall.visitor()
    if who == "forged":
        http.cookies.set(ADMIN_COOKIE, FORGED)
    before = sorted(hall.app.settings.data.rglob("*"))
    for route, method in ROUTES.items():
        reply = http.request(method, route.format(name=TRAINED))
        assert (reply.status_code, reply.json()) == (403, {"detail": "Log in as admin first."})
    assert [path for path in hall.app.settings.data.rglob("*") if path not in before] == []
    assert hall.app.registry.current().name == SHIPPED


def test_the_list_tells_what_came_from_what_and_how_good_it_is(admin: httpx.Client) -> None:
    found = admin.get("versions").json()
    trained, shipped = found["versions"]
    assert (trained["name"], trained["parent"], trained["parent_here"]) == (TRAINED, SHIPPED, True)
    assert (trained["lane"], shipped["lane"]) == (0, 0)
    assert trained["a"] == {"value": 0.781, "low": 0.751, "high": 0.811}
    assert (trained["labelled"], trained["gate"], trained["older"]) == (120, None, False)
    assert (shipped["current"], shipped["shipped"]) == (True, True)
    assert found["bytes"] == trained["bytes"] + shipped["bytes"] > 0


def test_another_version_answers_and_puts_the_memes_into_the_queues_anew(
    admin: httpx.Client, fake: FakeApp
) -> None:
    assert admin.post(f"versions/{TRAINED}/promote").json() == {"name": TRAINED}
    assert fake.registry.current().name == TRAINED
    assert fake.ranker.starts == 1
    assert admin.get("versions").json()["versions"][1]["older"] is True
    admin.post(f"versions/{SHIPPED}/promote").raise_for_status()
    assert fake.registry.current().name == SHIPPED
    assert deeds(admin)[:2] == [
        ("version.rollback", SHIPPED, TRAINED),
        ("version.promote", TRAINED, SHIPPED),
    ]


def test_a_version_that_is_not_there_cannot_be_used(admin: httpx.Client, fake: FakeApp) -> None:
    for name in ("v9999", "..%2fsecret", "%00"):
        reply = admin.post(f"versions/{name}/promote")
        assert reply.status_code == 404
    assert fake.ranker.starts == 0
    assert [what for what, _, _ in deeds(admin)] == ["admin.login"]


def test_a_version_is_deleted_unless_it_answers_or_was_shipped(
    admin: httpx.Client, fake: FakeApp
) -> None:
    reply = admin.post(f"versions/{SHIPPED}/delete")
    assert (reply.status_code, "came with the program" in reply.json()["detail"]) == (403, True)
    fake.registry.promote(TRAINED)
    reply = admin.post(f"versions/{TRAINED}/delete")
    assert (reply.status_code, "answers now" in reply.json()["detail"]) == (403, True)
    fake.registry.promote(SHIPPED)
    assert admin.post(f"versions/{TRAINED}/delete").status_code == 200
    assert names(admin) == [SHIPPED]
    assert deeds(admin)[0] == ("version.delete", TRAINED, "")


def test_a_version_goes_up_and_comes_down_and_does_not_answer_by_itself(
    admin: httpx.Client, packed: bytes, fake: FakeApp
) -> None:
    reply = admin.post("versions/upload", content=packed)
    assert reply.status_code == 200, reply.text
    name = reply.json()["name"]
    assert reply.json()["notices"] == []
    assert name.startswith("v0002-") and name in names(admin)
    assert fake.registry.current().name == SHIPPED
    down = admin.get(f"versions/{name}/bundle.zip")
    assert down.headers["content-type"] == "application/zip"
    assert f'filename="{name}.zip"' in down.headers["content-disposition"]
    assert int(down.headers["content-length"]) == len(down.content)
    with (
        zipfile.ZipFile(io.BytesIO(packed)) as sent,
        zipfile.ZipFile(io.BytesIO(down.content)) as came,
    ):
        assert sent.namelist() == came.namelist()
        for one in {*sent.namelist()} - {"bundle.json", "version.json"}:
            assert sha256(sent.read(one)).digest() == sha256(came.read(one)).digest()
    assert [what for what, _, _ in deeds(admin)][:2] == ["version.download", "version.upload"]


def test_a_bundle_that_is_refused_is_told_why_and_leaves_nothing(
    admin: httpx.Client, packed: bytes, fake: FakeApp
) -> None:
    before = sorted((fake.settings.data / "models").iterdir())
    reply = admin.post("versions/upload", content=packed[: len(packed) // 2])
    assert reply.status_code == 400
    assert "no bundle of a version" in reply.json()["detail"]
    assert sorted((fake.settings.data / "models").iterdir()) == before
    assert [what for what, _, _ in deeds(admin)] == ["admin.login"]


def test_a_version_of_other_labels_is_told_as_one(
    admin: httpx.Client, packed: bytes, fake: FakeApp
) -> None:
    other = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(packed)) as whole,
        zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as zipped,
    ):
        told = {**json.loads(whole.read("version.json")), "labels": ["kind", "unkind"]}
        changed = json.dumps(told).encode()
        contents = json.loads(whole.read("bundle.json"))
        contents["files"]["version.json"] = sha256(changed).hexdigest()
        new = {"version.json": changed, "bundle.json": json.dumps(contents).encode()}
        for name in whole.namelist():
            zipped.writestr(name, new.get(name) or whole.read(name))
    path = fake.registry.find(TRAINED).path
    assert path is not None
    (path / "version.json").write_bytes(changed)
    for reply in (
        admin.post("versions/upload", content=other.getvalue()),
        admin.post(f"versions/{TRAINED}/promote"),
    ):
        assert (reply.status_code, "kind, unkind" in reply.json()["detail"]) == (409, True)


def test_a_full_disk_is_told_before_the_bundle_is_read(
    admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memeapp.service.versions.SPARE", 2**60)
    reply = admin.post("versions/upload", content=b"words")
    assert reply.status_code == 507
    assert "make room" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("path", "most"),
    [("/versions/upload", bundle.MAX_BYTES), ("/versions/v0001/promote", gate.MAX_BODY)],
)
def test_only_bundles_may_be_large(path: str, most: int) -> None:
    def refused(size: int) -> bool:
        scope = {"type": "http", "method": "POST", "path": path}
        headers = [(b"content-length", str(size).encode())]
        asked = gate.Gate(gate.Gate, max_upload=1)  # type: ignore[arg-type]
        return asked.refusal({**scope, "headers": headers}) is not None

    assert (refused(most), refused(most + 1)) == (False, True)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[App]:
    """The app as it runs, with the version that came with the program."""
    app = build(Settings(data=tmp_path / "data", admin_password=PASSWORD))
    yield app
    app.store.close()


def test_answers_go_on_and_follow_while_versions_are_switched_to_and_fro(
    whole: App, packed: bytes
) -> None:
    switches: list[tuple[str, bool]] = []  # each twice: when it begins, and when it has returned
    stop = threading.Event()
    ready = threading.Barrier(21)

    def answering(client: Client, picture: object) -> str:
        reply = client.send("call", "classify", [picture, "a text of a meme", "", False])
        assert reply.error is None, reply.error
        found = re.search(r'data-model=\\?"([\w.-]+)', reply.text)
        assert found, reply.text
        return found[1]

    def allowed(since: int) -> set[str]:
        """Which versions may have spoken in an answer that was begun after so many notes."""
        returned = [name for name, done in switches[:since] if done]
        return {*returned[-1:], *(name for name, _ in switches[since - 1 :])}

    def ask(number: int, address: str) -> list[tuple[str, set[str]]]:
        client = Client(address)
        client.session = f"session-{number}"  # gradio keeps a stream of events for each
        heard = []
        with client.http:
            picture = client.upload("a.png", picture_bytes(side=64 + number))
            ready.wait(60)
            while not stop.is_set():
                since = len(switches)
                heard.append((answering(client, picture), allowed(since)))
        return heard

    def use(admin: httpx.Client, name: str) -> None:
        switches.append((name, False))
        admin.post(f"versions/{name}/promote").raise_for_status()
        switches.append((name, True))

    whole.ranker.start = lambda: None  # type: ignore[method-assign]
    with serving(whole) as address, ThreadPoolExecutor(20) as pool:  # type: ignore[arg-type]
        client = Client(address)
        with client.http:
            client.http.timeout = httpx.Timeout(120)
            client.become_admin(PASSWORD)
            uploaded = client.http.post("versions/upload", content=packed).json()["name"]
            names = [uploaded, whole.registry.shipped().name]
            use(client.http, names[1])
            picture = client.upload("own.png", picture_bytes())
            assert answering(client, picture) == names[1]
            asking = [pool.submit(ask, number, address) for number in range(20)]
            ready.wait(60)
            try:
                for turn in range(6):
                    use(client.http, names[turn % 2])
                    assert answering(client, picture) == names[turn % 2]
            finally:
                stop.set()
            heard = [one for future in asking for one in future.result(120)]
    assert len(heard) >= 20
    assert [spoke for spoke, may in heard if spoke not in may] == []
    assert {spoke for spoke, _ in heard} == set(names)
