"""Programs: what a token opens and a cookie does not; the admin's routes around trainings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from memeapp.store.connections import moment
from memeapp.types import Job, JobState, LossCurve
from memeapp.ui.api_routes import api_routes
from memeapp.ui.retrain_routes import retrain_routes
from tests.api.conftest import Client, Hall
from tests.conftest import PASSWORD, FakeApp

ADMIN_ROUTES: dict[str, dict[str, Any] | None] = {
    "retraining": None,
    "retraining/": {"after_labels": 5, "daily_at": "03:30"},
    "retraining/dry-run": {},
    "retraining/tokens": {"name": "sneaky"},
    "retraining/tokens/{token_id}/revoke": {},
}
"""Address → what is sent; None: a GET."""


@pytest.fixture
def secret(hall: Hall) -> str:
    return hall.app.tokens.make("nightly")[1]


@pytest.fixture
def program(hall: Hall, secret: str) -> Iterator[httpx.Client]:
    hall.app.jobs.job, hall.app.jobs.too_few = None, ""
    header = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=hall.address, timeout=30, headers=header) as http:
        yield http


def test_the_tables_of_this_file_name_every_route(fake: FakeApp) -> None:
    def paths(routes: Any) -> list[str]:
        return sorted(route.path.lstrip("/") for route in routes.routes)

    assert paths(retrain_routes(fake)) == sorted(  # type: ignore[arg-type]
        route.rstrip("/") for route in ADMIN_ROUTES
    )
    assert paths(api_routes(fake)) == [  # type: ignore[arg-type]
        "api/v1/jobs/{job_id}",
        "api/v1/retrain",
    ]


def test_a_program_starts_a_training_and_looks_at_it(hall: Hall, program: httpx.Client) -> None:
    choice = {"encoder": "ViT-L-14/openai", "aggregation": "mace", "votes": "all"}
    reply = program.post("api/v1/retrain", json=choice)
    assert reply.status_code == 202, reply.text
    job = reply.json()
    assert (job["encoder"], job["state"]) == ("ViT-L-14/openai", "running")
    assert job["options"] == {"aggregation": "mace", "votes": "all", "by": "token nightly"}
    hall.app.jobs.move(
        progress=0.7,
        ends_at=moment(datetime.now(UTC) + timedelta(hours=3)),
        losses=(LossCurve("Learning", 60, ((1, 0.9), (2, 0.8))),),
    )
    seen = program.get(f"api/v1/jobs/{job['id']}").json()
    assert seen["progress"] == 0.7
    assert 2 * 3600 < seen["seconds_left"] <= 3 * 3600
    assert seen["losses"] == [{"stage": "Learning", "epochs": 60, "points": [[1, 0.9], [2, 0.8]]}]
    assert "pid" not in seen
    deed = hall.app.store.audit(1)[0]
    assert (deed.who, deed.what, deed.about) == ("token nightly", "train.start", "ViT-L-14/openai")


def test_a_training_starts_with_an_empty_body_as_on_the_admin_page(program: httpx.Client) -> None:
    reply = program.post("api/v1/retrain", json={})
    assert reply.status_code == 202
    assert reply.json()["encoder"] == "embedded"


def test_why_a_training_does_not_start_is_a_status_and_a_sentence(
    hall: Hall, program: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.post("api/v1/retrain", json={}).status_code == 202
    busy = program.post("api/v1/retrain", json={})
    assert (busy.status_code, "wait" in busy.json()["detail"]) == (409, True)
    hall.app.jobs.too_few = "3 labelled memes; 30 are needed."
    few = program.post("api/v1/retrain", json={})
    assert (few.status_code, few.json()["detail"]) == (400, "3 labelled memes; 30 are needed.")

    def failing(*_: object, **__: object) -> Job:
        assert hall.app.jobs.job is not None
        return replace(hall.app.jobs.job, state=JobState.FAILED, message="No such weights.")

    monkeypatch.setattr(hall.app.jobs, "start", failing)
    gone = program.post("api/v1/retrain", json={})
    assert (gone.status_code, gone.json()["detail"]) == (400, "No such weights.")
    assert [deed.what for deed in hall.app.store.audit(2)] == ["train.start.failed", "train.start"]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("encoder", ["local-dir:/etc", "ViT-H-14/laion2b_s32b_b79k", "x"])
def test_a_program_names_only_encoders_that_are_known_here(
    hall: Hall, program: httpx.Client, encoder: str, dry_run: bool
) -> None:
    reply = program.post("api/v1/retrain", json={"encoder": encoder, "dry_run": dry_run})
    assert reply.status_code == 400
    assert repr(encoder) in reply.json()["detail"]
    assert "choose one of embedded, ViT-L-14/openai" in reply.json()["detail"]
    assert hall.app.jobs.job is None


@pytest.mark.parametrize(
    "body", [{"encoder": 5}, {"dry_run": "perhaps"}, {"encoder": "x" * 1001}, [], "no"]
)
def test_a_body_that_cannot_be_used_starts_nothing(
    hall: Hall, program: httpx.Client, body: Any
) -> None:
    assert program.post("api/v1/retrain", json=body).status_code == 422
    assert program.post("api/v1/retrain", content=b"\xff{").status_code in (411, 422)
    assert hall.app.jobs.job is None


def test_a_dry_run_tells_what_it_would_learn_from_and_starts_nothing(
    hall: Hall, program: httpx.Client
) -> None:
    reply = program.post("api/v1/retrain", json={"dry_run": True, "votes": "all"})
    assert reply.status_code == 200
    assert reply.json() == asdict(hall.app.dry_runs.look(votes="all"))
    assert reply.json()["unlabelled"] == 5
    assert hall.app.jobs.job is None
    wrong = program.post("api/v1/retrain", json={"dry_run": True, "votes": "mine"})
    assert (wrong.status_code, "'mine'" in wrong.json()["detail"]) == (400, True)


@pytest.mark.parametrize("number", ["7", "0", "-1", "9" * 30, "x"])
def test_a_job_that_is_not_there_is_not_found(program: httpx.Client, number: str) -> None:
    assert program.get(f"api/v1/jobs/{number}").status_code in (404, 422)


@pytest.mark.parametrize("kind", ["none", "wrong", "revoked", "expired", "basic", "in the address"])
def test_without_a_good_token_nothing_is_told_and_nothing_starts(hall: Hall, kind: str) -> None:
    hall.app.jobs.job = None
    token, secret = hall.app.tokens.make("gone", 1)
    if kind == "revoked":
        hall.app.tokens.revoke(token.id)
    if kind == "expired":
        with hall.app.store._writing() as db:
            db.execute("UPDATE tokens SET expires_at = '2026-01-01' WHERE id = ?", [token.id])
    headers = {
        "none": {},
        "wrong": {"Authorization": f"Bearer {secret}x"},
        "basic": {"Authorization": f"Basic {secret}"},
        "in the address": {},
    }.get(kind, {"Authorization": f"Bearer {secret}"})
    query = f"?token={secret}" if kind == "in the address" else ""
    with httpx.Client(base_url=hall.address, headers=headers) as http:
        for reply in (
            http.post(f"api/v1/retrain{query}", json={}),
            http.post(f"api/v1/retrain{query}", json={"votes": 5}),
            http.get(f"api/v1/jobs/1{query}"),
        ):
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert set(reply.json()) == {"detail"} and "new" in reply.json()["detail"] + "new"
    assert hall.app.jobs.job is None


def test_a_token_that_is_good_for_something_else_is_refused(
    hall: Hall, program: httpx.Client, secret: str
) -> None:
    with hall.app.store._writing() as db:
        db.execute("UPDATE tokens SET scopes = '[\"export\"]'")
    reply = program.post("api/v1/retrain", json={})
    assert (reply.status_code, "not for retrain" in reply.json()["detail"]) == (403, True)
    assert hall.app.jobs.job is None


def test_the_cookie_of_an_admin_lets_nobody_in_here(hall: Hall) -> None:
    hall.app.jobs.job = None
    admin = hall.admin()
    assert admin.post("api/v1/retrain", json={}).status_code == 401
    assert admin.post("api/v1/retrain", data={"encoder": "x"}).status_code == 401
    assert admin.get("api/v1/jobs/1").status_code == 401
    assert hall.app.jobs.job is None


def test_a_page_of_another_site_gets_nowhere_even_with_a_token(
    hall: Hall, program: httpx.Client
) -> None:
    reply = program.post("api/v1/retrain", json={}, headers={"Origin": "http://evil.example"})
    assert reply.status_code == 403
    assert hall.app.jobs.job is None


def test_a_token_opens_nothing_of_the_admin(program: httpx.Client) -> None:
    for address in ("retraining", "sessions", "transfer", "audit"):
        assert program.get(address).status_code == 403
    assert program.post("retraining/tokens", json={"name": "more"}).status_code == 403


def send(http: httpx.Client, route: str, body: dict[str, Any] | None, token_id: int) -> Any:
    address = route.rstrip("/").format(token_id=token_id)
    return http.get(address) if body is None else http.post(address, json=body)


def test_the_routes_around_trainings_are_the_admins_alone(hall: Hall) -> None:
    token, _ = hall.app.tokens.make("nightly")
    before = hall.app.store.retraining(), hall.app.tokens.all()
    person = hall.person(hall.room())
    for http in (hall.visitor(), person.http):
        for route, body in ADMIN_ROUTES.items():
            reply = send(http, route, body, token.id)
            assert (reply.status_code, reply.json()) == (403, {"detail": "Log in as admin first."})
    assert (hall.app.store.retraining(), hall.app.tokens.all()) == before


def test_an_admin_gets_through_and_it_is_written_down(hall: Hall) -> None:
    token, _ = hall.app.tokens.make("nightly")
    admin = hall.admin()
    for route, body in ADMIN_ROUTES.items():
        assert send(admin, route, body, token.id).status_code == 200, route
    deeds = [(deed.what, deed.about) for deed in hall.app.store.audit(3)]
    assert deeds == [
        ("token.revoke", f"token {token.id}"),
        ("token.make", "sneaky"),
        ("triggers.change", ""),
    ]


def test_a_secret_is_told_once_and_lets_its_program_in(hall: Hall) -> None:
    hall.app.jobs.job = None
    admin = hall.admin()
    made = admin.post("retraining/tokens", json={"name": "nightly", "days": 7}).json()
    assert made["key"] not in admin.get("retraining").text
    assert made["key"] not in admin.get("audit").text
    assert "digest" not in admin.get("retraining").text
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert hall.visitor().get("api/v1/jobs/1", headers=headers).status_code == 404
    admin.post(f"retraining/tokens/{made['id']}/revoke", json={})
    assert hall.visitor().get("api/v1/jobs/1", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("retraining", {"after_labels": 0}),
        ("retraining", {"daily_at": "24:00"}),
        ("retraining", {"after_labels": 5, "votes": "mine"}),
        ("retraining", {"after_labels": 5, "encoder": "local-dir:/nowhere"}),
        ("retraining/tokens", {"name": " "}),
        ("retraining/tokens", {"name": "x", "days": 0}),
        ("retraining/dry-run", {"aggregation": "mean"}),
    ],
)
def test_what_cannot_be_is_a_400_and_changes_nothing(
    hall: Hall, route: str, body: dict[str, Any]
) -> None:
    before = hall.app.store.retraining(), hall.app.tokens.all()
    reply = hall.admin().post(route, json=body)
    assert (reply.status_code, len(reply.json()["detail"]) > 30) == (400, True), reply.text
    assert (hall.app.store.retraining(), hall.app.tokens.all()) == before


def test_the_dashboard_tells_of_a_job_by_whom_how_far_and_until_when(
    client: Client, fake: FakeApp
) -> None:
    client.become_admin(PASSWORD)
    fake.jobs.start("embedded", by="after 52 new labels")
    fake.jobs.move(
        stage="Learning: epoch 2 of at most 60",
        started_at=moment(datetime.now(UTC)),
        ends_at=moment(datetime.now(UTC) + timedelta(hours=3)),
        losses=(LossCurve("Learning", 60, ((1, 0.9), (2, 0.8))),),
    )
    shown = client.send("run", "admin_look", []).text
    for words in ("asked for: after 52 new labels", "Started 20", "epoch 2 of at most 60"):
        assert words in shown
    assert "About 3.0 h to the end." in shown
    assert "from 0.9 to 0.8 in 2 epochs" in shown
    fake.jobs.move(options={}, losses=(), ends_at=None, started_at=None)  # a job of before
    shown = client.send("run", "admin_look", []).text
    assert "Job 1: running" in shown and "to the end" not in shown


def test_a_job_that_failed_can_be_started_again_from_the_dashboard(
    client: Client, fake: FakeApp
) -> None:
    client.become_admin(PASSWORD)
    none = client.send("run", "admin_again", []).text
    assert "nothing to start again" in none
    fake.jobs.start("embedded")
    assert "Start again" not in client.send("run", "admin_look", []).text
    fake.jobs.move(state=JobState.FAILED, message="It was killed.")
    assert "Start again" in client.send("run", "admin_look", []).text
    assert "Job 1: running" in client.send("run", "admin_again", []).text
    assert fake.store.audit(1)[0].what == "train.start"
