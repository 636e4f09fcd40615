"""Whose address counts when passwords are guessed: of the proxies, only a trusted one is heard."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from memeapp.errors import NotAllowed
from tests.conftest import FakeApp, serving


def addresses(fake: FakeApp, monkeypatch: pytest.MonkeyPatch, *forwarded: str) -> list[str]:
    """Whom the door takes the senders of these X-Forwarded-For headers for."""
    seen: list[str] = []

    async def token(self: object, address: str, password: str) -> str:
        seen.append(address)
        raise NotAllowed("no")

    monkeypatch.setattr("memeapp.ui.web.Door.token", token)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own; the settings decide
    with serving(fake) as address:
        for claim in forwarded:
            reply = httpx.post(
                f"{address}auth/admin", json={"password": "x"}, headers={"X-Forwarded-For": claim}
            )
            assert reply.status_code == 403
    return seen


def test_nobody_escapes_or_locks_out_others_by_a_header_of_ones_own(
    fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = ("203.0.113.1", "203.0.113.2, 127.0.0.1")
    assert addresses(fake, monkeypatch, *claims) == ["127.0.0.1", "127.0.0.1"]


def test_a_trusted_proxy_says_whom_it_asks_for_and_what_came_before_it_is_not_heard(
    fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.settings = replace(fake.settings, trusted_proxies="127.0.0.0/8")
    claims = ("203.0.113.1", "198.51.100.7, 203.0.113.1", "198.51.100.7, 203.0.113.1, 127.0.0.2")
    assert addresses(fake, monkeypatch, *claims) == ["203.0.113.1"] * 3
