"""What a monitoring server and a health check are told, and who may read it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from memeapp.errors import NotFound, NotSaved
from memeapp.types import JobKind, JobState
from memeapp.ui.metrics import Figures, metrics_routes
from tests.api.conftest import Client, Tab
from tests.conftest import PASSWORD, FakeApp, open_session, picture_bytes, serving

Sample = tuple[str, tuple[tuple[str, str], ...]]


def told(http: httpx.Client) -> dict[Sample, float]:
    """Every sample by its name and labels."""
    reply = http.get("metrics")
    assert reply.status_code == 200, reply.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def of(found: dict[Sample, float], name: str, /, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


@pytest.fixture
def program(address: str, fake: FakeApp) -> Iterator[httpx.Client]:
    """A monitoring server."""
    _, secret = fake.tokens.make("prometheus", scopes=["metrics"])
    header = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=address, timeout=30, headers=header) as http:
        yield http


def test_the_tests_of_this_file_know_every_route(fake: FakeApp) -> None:
    routes = metrics_routes(fake, None).routes  # type: ignore[arg-type]
    assert [route.path for route in routes] == ["/health", "/metrics"]  # type: ignore[attr-defined]


def test_metrics_are_for_admins_and_programs_with_a_token_for_them(
    client: Client, fake: FakeApp, program: httpx.Client
) -> None:
    nobody = client.http.get("metrics")  # from this very machine, which opens nothing
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert "memeapp_" not in nobody.text
    client.become_annotator(open_session(fake))
    assert client.http.get("metrics").status_code == 401
    for forged in ({"X-Forwarded-For": "127.0.0.1"}, {"Authorization": "Bearer memeapp_x"}):
        assert client.http.get("metrics", headers=forged).status_code == 401
    _, other = fake.tokens.make("nightly")
    header = {"Authorization": f"Bearer {other}"}
    wrong = client.http.get("metrics", headers=header)
    assert (wrong.status_code, "not for metrics" in wrong.json()["detail"]) == (403, True)
    assert program.get("metrics").status_code == 200
    client.become_admin(PASSWORD)
    assert client.http.get("metrics").status_code == 200


def test_an_admin_makes_a_token_for_metrics_on_the_page(client: Client, fake: FakeApp) -> None:
    client.become_admin(PASSWORD)
    wanted = {"name": "prometheus", "scope": "metrics"}
    made = client.http.post("retraining/tokens", json=wanted).json()
    assert made["scopes"] == ["metrics"]
    client.http.cookies.clear()
    header = {"Authorization": f"Bearer {made['key']}"}
    assert client.http.get("metrics", headers=header).status_code == 200
    client.become_admin(PASSWORD)
    unknown = client.http.post("retraining/tokens", json={**wanted, "scope": "everything"})
    assert (unknown.status_code, "good for everything" in unknown.json()["detail"]) == (400, True)


def test_a_token_for_metrics_opens_nothing_else(program: httpx.Client) -> None:
    assert program.post("api/v1/retrain", json={}).status_code == 403
    assert program.get("audit").status_code == 403


def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(
    client: Client, fake: FakeApp, program: httpx.Client
) -> None:
    client.become_admin(PASSWORD)
    client.http.get(f"media/{fake.memes[0].id}?secret=in-the-address")
    client.http.get("media/no-such-meme")
    client.http.get("nowhere/at-all")
    client.http.request("BREW", "health")
    client.http.post("label/join", content=b"x" * (2**20 + 1))
    client.http.get("config")
    found = told(program)
    name = "memeapp_http_requests_total"
    media = {"method": "GET", "route": "/media/{meme_id}"}
    assert of(found, name, status="200", **media) == 1
    assert of(found, name, status="404", **media) == 1
    assert of(found, name, method="POST", route="/auth/admin", status="200") == 1
    assert of(found, name, method="POST", route="other", status="413") == 1
    assert of(found, "memeapp_http_request_seconds_count", **media) == 2
    assert of(found, "memeapp_http_request_seconds_sum", **media) > 0
    labels = {value for _, pairs in found for _, value in pairs}
    for asked in (fake.memes[0].id, "no-such-meme", "in-the-address", "at-all", "BREW"):
        assert not any(asked in label for label in labels), asked


def test_a_handler_that_fails_is_counted_as_a_500(
    client: Client, fake: FakeApp, program: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.become_admin(PASSWORD)

    def broken(*_: object) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(fake.store, "audit", broken)
    assert client.http.get("audit").status_code == 500
    found = told(program)
    assert of(found, "memeapp_http_requests_total", method="GET", route="/audit", status="500") == 1


def test_classifications_are_counted_with_their_seconds_and_where_the_text_came_from(
    client: Client, program: httpx.Client
) -> None:
    picture = client.upload("a.png", picture_bytes())
    for text in ("", "typed", "typed, too"):
        assert client.send("call", "classify", [picture, text, "", False]).error is None
    found = told(program)
    name = "memeapp_classification_seconds"
    assert of(found, f"{name}_count", text="ocr") == 1
    assert of(found, f"{name}_count", text="given") == 2
    assert of(found, f"{name}_sum", text="given") == pytest.approx(0.84)


def test_votes_memes_jobs_the_version_and_the_room_are_told(
    client: Client, fake: FakeApp, program: httpx.Client
) -> None:
    client.become_annotator(open_session(fake))
    tab = Tab(client.http)
    tab.vote(tab.open()["cards"][0], "misogynous")
    store = fake.store
    store.update_job(store.add_job().id, state=JobState.FAILED)
    store.update_job(store.add_job(kind=JobKind.IMPORT).id, state=JobState.RUNNING)
    found = told(program)
    counts = fake.training.counts()
    assert of(found, "memeapp_votes_recorded_total") == 1
    assert of(found, "memeapp_votes_standing") == counts.votes
    assert of(found, "memeapp_memes") == counts.memes
    assert of(found, "memeapp_memes_labelled") == counts.labelled
    assert of(found, "memeapp_jobs", kind="train", state="failed") == 1
    assert of(found, "memeapp_jobs", kind="train", state="running") == 0
    assert of(found, "memeapp_job_running", kind="import") == 1
    assert of(found, "memeapp_job_running", kind="train") == 0
    model = {"name": "shipped-1", "encoder": "embedded-1", "recipe": "best"}
    assert of(found, "memeapp_model_info", **model) == 1
    assert of(found, "memeapp_database_bytes") == store.size()
    assert of(found, "memeapp_disk_free_bytes") > 0
    assert of(found, "memeapp_uptime_seconds") > 0
    assert of(found, "process_start_time_seconds") > 0


def test_what_cannot_be_told_is_left_out_and_the_rest_is_told(
    fake: FakeApp, program: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise NotFound("There is no version at all.")

    monkeypatch.setattr(fake.training, "current", broken)
    found = told(program)
    assert not [name for name, _ in found if name == "memeapp_model_info"]
    assert of(found, "memeapp_database_bytes") > 0


def test_a_scrape_asks_the_database_for_nothing_that_grows_with_the_votes(
    fake: FakeApp, program: httpx.Client
) -> None:
    told(program)
    asked: list[str] = []
    fake.store._db.conn.set_trace_callback(asked.append)
    list(Figures(fake).collect())  # type: ignore[arg-type]
    fake.store._db.conn.set_trace_callback(None)
    assert asked
    for statement in asked:
        assert "max(id)" in statement or "FROM jobs" in statement, statement


def test_two_apps_in_one_process_count_apart(
    client: Client, fake: FakeApp, program: httpx.Client
) -> None:
    client.http.get("health")
    health = {"method": "GET", "route": "/health", "status": "200"}
    assert of(told(program), "memeapp_http_requests_total", **health) == 1
    with serving(fake) as other, httpx.Client(base_url=other, headers=program.headers) as http:
        assert not [name for name, pairs in told(http) if dict(pairs).get("route") == "/health"]


def test_openmetrics_is_spoken_to_who_asks_for_it(program: httpx.Client) -> None:
    plain = program.get("metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    reply = program.get("metrics", headers=wanted)
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")


def test_health_is_public_and_says_when_the_database_cannot_be_written(
    client: Client, fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = client.http.get("health")
    assert (well.status_code, well.json()["status"]) == (200, "ok")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    unwell = client.http.get("health")
    assert unwell.status_code == 503
    assert unwell.json()["status"] == "unwell"
    assert "log of the server" in unwell.json()["detail"]
    assert str(fake.store.folder) not in unwell.text
    monkeypatch.undo()
    assert client.http.get("health").status_code == 200


def test_metrics_are_told_while_the_disk_is_full(
    program: httpx.Client, fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise NotSaved("The disk is full.")

    monkeypatch.setattr(fake.store, "token_used", full)
    assert program.get("metrics").status_code == 200
